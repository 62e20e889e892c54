"""Windows has no fcntl, pwd, resource or os.fork: every module is imported without them."""

import subprocess
import sys

from tests.helpers.paths import ROOT

# Other people's packages may use them where they are there, and are imported first.
IMPORT_ALL = """
import importlib, os, signal, sys
import torch, torchvision, numpy, pandas, scipy.stats, sklearn.metrics, cv2, pydicom, PIL.Image
import tensorboard, torch.utils.tensorboard, matplotlib.figure, jinja2, psutil, filelock, tqdm
import uvicorn, starlette.testclient, starlette.staticfiles, playwright.sync_api
import torch.distributed.run, hypothesis, pytest, torchmetrics, captum.attr, imagehash
for name in ("fcntl", "pwd", "grp", "termios", "resource"):
    sys.modules[name] = None
for module, names in {os: ("fork", "getuid", "geteuid", "killpg"),
                      signal: ("SIGALRM", "SIGKILL", "alarm")}.items():
    for name in names:
        delattr(module, name)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1, "modules")
"""
FOLDERS = ("util", "data", "model", "page", "benchmarks", "tests")


def modules() -> list[str]:
    files = [
        *ROOT.glob("*.py"),
        *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py")),
    ]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files))
    return [name for name in names if not name.endswith("__")]


def test_every_module_is_imported_without_what_windows_lacks():
    names = modules()
    assert {"train", "util.files", "data.loader", "tests.conftest"} <= {*names}
    command = [sys.executable, "-c", IMPORT_ALL, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"{len(names)} modules\n", done.stderr
