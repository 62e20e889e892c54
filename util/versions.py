"""What a result was made with."""

import platform
from importlib.metadata import version

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "opencv-python-headless", "pillow", "pydicom",
)  # fmt: skip


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
