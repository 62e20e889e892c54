"""What a result was made with."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "opencv-python-headless", "pillow", "pydicom",
)  # fmt: skip


def commit() -> str | None:
    """The program's commit, with `+` if its files were changed since; None where git knows none."""
    here = ("git", "-C", str(Path(__file__).parent))
    try:
        described = subprocess.run(
            (*here, "describe", "--always", "--dirty=+", "--exclude=*"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip() or None


def machine(device: str) -> str:
    """`x86_64, 2 CPU cores`, or the GPU's name. device: cpu, cuda:0 or mps."""
    if device.startswith("cuda"):
        import torch  # takes seconds, for which making a dataset need not wait

        return torch.cuda.get_device_name(device)
    where = f"{platform.machine()}, {os.cpu_count()} CPU cores"
    return where if device == "cpu" else f"{where}, {device}"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
