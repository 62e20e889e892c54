"""The device of a run and the arithmetic that suits it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def pick_device(name: str) -> torch.device:
    """`auto`: CUDA, then Apple MPS, then the CPU. ValueError for a device that is not here."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        text = f"device: found '{name}'; expected auto, cpu, cuda, cuda:1 or mps"
        raise ValueError(text) from None
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    there = (there | {"cpu": 1}).get(device.type, 0)
    if (device.index or 0) >= there:
        raise ValueError(
            f"device: found '{name}', but this machine has {there} of that kind; give cpu or auto"
        )
    return device


def pick_precision(name: str, device: torch.device, scaled: bool = False) -> torch.dtype:
    """The dtype of the convolutions. `auto`: bfloat16 where it is native, else float32.

    scaled: whether the loss is scaled, as in training. Then `auto` is float16 on a GPU without
    native bfloat16. Otherwise it is not: the values of an image that the network was not trained
    on may exceed float16's 65504, and there is no step to leave out.
    """
    if name == "auto":
        if _native_bfloat16(device):
            return torch.bfloat16
        return torch.float16 if scaled and device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def inference_dtype(dtype: torch.dtype) -> torch.dtype:
    """For passes forward of a network that is trained in dtype; see `pick_precision`."""
    return torch.float32 if dtype == torch.float16 else dtype


def precision_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """The context in which the forward pass runs in `dtype`; it can be entered again and again."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)


@contextmanager
def torch_errors_explained() -> Iterator[None]:
    """ValueError, one line with what to do, in place of torch's errors: memory full, a process that
    reads images killed, a network that cannot be compiled."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            text = "device: out of memory; lower --batch-size, or --width and --height"
        elif any(str(cause).startswith("DataLoader worker") for cause in _contexts(error)):
            text = "n_threads: a process that reads images was killed; memory may be full. Lower"
            text += " --n-threads; 0 needs none"
        elif type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            text = f"--compile: torch could not compile the network ({type(error).__name__}); leave"
            text += " it out, or give torch what it needs, such as a C++ compiler"
        else:
            raise
        raise ValueError(text) from error


def _contexts(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those in whose handling it was raised. torch raises that a process has died
    wherever the program happens to be, as in the middle of a save."""
    while error:
        yield error
        error = error.__context__


def _native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":  # emulated bfloat16 is slower than float32; torch asks the processor
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, probe, bool)() for probe in probes)
    return False
