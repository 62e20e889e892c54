"""Freed memory, in a process of its own: what is set there stays."""

import platform
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

STEPS = """
import resource, torch
from util.memory import keep_freed_memory
{}
def faults():
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(2**24)  # 64 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began
print(min(faults() for _ in range(6)))  # the first ones find no room of their size yet
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_what_a_step_frees_the_next_one_takes_without_asking_for_pages():
    def faults(call: str) -> int:
        words = [sys.executable, "-c", STEPS.format(call)]
        return int(subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout)

    assert faults("keep_freed_memory()") < 100 < faults("")
