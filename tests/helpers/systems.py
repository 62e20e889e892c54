"""Marks of tests that one operating system cannot run."""

import os

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals, pipes or links")
not_root = pytest.mark.skipif(
    hasattr(os, "getuid") and os.getuid() == 0, reason="root may read everything"
)
