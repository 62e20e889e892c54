"""What becomes of the memory of tensors that are freed."""

import ctypes
import platform

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Has the C library keep the memory of freed CPU tensors for the next ones, where it is glibc.

    glibc gives a large block back to the system at once. A training step frees all that it takes,
    so that the next one takes it again page by page, each filled with zeros first: a fifth of the
    processor's time at 16 images of 256 pixels per step. In turn the process holds more memory.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_MAX, 0)  # no block is mapped on its own, to be given back at once
    library.mallopt(TRIM_THRESHOLD, 2**31 - 1)  # bytes at the end of the heap
