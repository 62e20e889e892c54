"""Where the project is, and the real radiographs beside it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL_DATA = ROOT.parent / "shared" / "data"  # absent in most checkouts; tests that need it skip
