"""Broken files through read_radiograph: each gives an image or an UnreadableImageError.

python3 -m tests.fuzz --inputs 20000

Input number k is a small file of some kind that was damaged, as the seed and k determine. A worker
process reads it, so that a crash of a codec is counted, too.
"""

import argparse
import io
import os
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from data.images.gray import UnreadableImageError
from data.images.radiograph import read_radiograph
from data.sample.dicom import write_dicom
from tests.helpers.lossless_jpeg import jpeg_lossless
from util.workers import NoResult, map_in_processes

try:
    import resource
except ImportError:  # Windows
    resource = None

ADDRESS_SPACE = 4 * 2**30  # bytes that a worker may map, libraries included
GROWTH = 2**29  # bytes that no small file may take to read
SECONDS = 20  # that no small file may take


# Of pydicom's own test files, those that write_dicom cannot write.
FOREIGN = (
    "MR_small_bigendian", "MR_small_implicit", "MR_small_jpeg_ls_lossless", "image_dfl",
    "JPEGLSNearLossless_08", "JPEGLSNearLossless_16", "JPGExtended", "JPEG-lossy", "JPEG2000",
    "SC_rgb_jpeg_gdcm", "SC_rgb_small_odd_big_endian", "UN_sequence", "nested_priv_SQ", "badVR",
)  # fmt: skip


def whole_files(folder: Path) -> list[bytes]:
    """A small file of each kind."""
    ramp = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint8)
    deep = ramp.astype(np.uint16) << 5
    window = {"BitsStored": 12, "WindowCenter": [2048, 40], "WindowWidth": [4096, 400]}
    path = folder / "file"

    def dicom(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **header: object) -> bytes:
        write_dicom(path, pixels, syntax, **header)
        return path.read_bytes()

    lossless = dcmread(io.BytesIO(dicom(deep, **window)))
    lossless.add_new("PixelData", "OB", encapsulate([jpeg_lossless(deep, 12)]))
    lossless.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    lossless.save_as(path)
    foreign = [get_testdata_file(f"{name}.dcm", download=False) for name in FOREIGN]
    return [
        path.read_bytes(),
        *(dicom(ramp, syntax) for syntax in (JPEGBaseline8Bit, RLELossless, JPEG2000Lossless)),
        *(dicom(deep, syntax, **window) for syntax in (RLELossless, JPEG2000Lossless)),
        dicom(np.stack([ramp, ramp]), PhotometricInterpretation="MONOCHROME1"),
        dicom(deep, RescaleSlope=2, RescaleIntercept=-100, BitsStored=13),
        dicom(deep, **window),
        dicom(deep, **window, **_tables()),
        dicom(deep << 3, BitsStored=12, HighBit=15, PixelPaddingValue=0),
        dicom(np.stack([ramp] * 3, axis=-1)),
        dicom(ramp)[132:],  # without the preamble
        *(Path(file).read_bytes() for file in foreign if file),
        *(_encoded(*kind) for kind in _pictures(ramp, deep)),
    ]


def _tables() -> dict:
    """The lookup tables of a header."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "US", list(range(256)))
    names = ("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence")
    return {name: [item] for name in names}


def _pictures(ramp: np.ndarray, deep: np.ndarray) -> list[tuple[Image.Image, str, dict]]:
    gray, sixteen = Image.fromarray(ramp), Image.fromarray(deep)
    colour = Image.merge("RGB", [gray, gray.rotate(90).resize(gray.size), gray])
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        *(
            (gray, kind, {})
            for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")
        ),
        (sixteen, "PNG", {}),
        (sixteen, "TIFF", {"compression": "tiff_lzw"}),
        (gray.quantize(16), "PNG", {"transparency": 3}),
        (colour.convert("RGBA"), "PNG", {"exif": exif}),
        (colour, "JPEG", {"exif": exif, "progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "TIFF", {"compression": "jpeg"}),
        (gray.convert("F"), "TIFF", {"compression": "tiff_deflate"}),
        (gray, "JPEG2000", {}),
    ]


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def damage(files: list[bytes], seed: int, number: int) -> bytes:
    """One of the files, cut off or changed in a few places, mostly near its beginning."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(files[rng.integers(len(files))])
    for _ in range(rng.integers(1, 3)):
        here = int(len(data) * rng.random() ** 2)
        some = int(rng.integers(1, 17))
        match rng.integers(7):
            case 0:
                del data[here:]
            case 1:
                for place in rng.integers(here, len(data), some) if here < len(data) else ():
                    data[place] ^= 1 << rng.integers(8)
            case 2:
                data[here : here + some] = rng.bytes(some)
            case 3:  # lengths and sizes of all kinds
                data[here : here + 4] = bytes([rng.choice([0, 1, 127, 128, 255])]) * 4
            case 4:
                del data[here : here + some]
            case 5:
                data[here:here] = rng.bytes(some)
            case 6:
                other = files[rng.integers(len(files))]
                start = int(len(other) * rng.random())
                data[here : here + 8 * some] = other[start : start + 8 * some]
    return bytes(data)


def outcome(number: int, files: list[bytes], seed: int, folder: Path) -> str:
    """`image`, `unreadable: why`, or what must not be."""
    if sys.platform == "linux":  # elsewhere the limit of the address space is not kept
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    path = folder / f"{os.getpid()}{'.dcm' if number % 2 else ''}"
    path.write_bytes(damage(files, seed, number))
    before = _peak_memory()
    try:
        read_radiograph(path, enough=[None, 16][number // 2 % 2])
        result = "image"
    except UnreadableImageError as error:
        result = f"unreadable: {str(error).removeprefix(f'{path}: ')}"
    except BaseException as error:
        return f"WRONG: {error!r}"
    grown = _peak_memory() - before
    return f"WRONG: {grown:,} bytes of memory" if grown > GROWTH else result


def _peak_memory() -> int:
    """Bytes that this process has held at most; 0 on Windows."""
    if resource is None:
        return 0
    unit = 1024 if sys.platform == "linux" else 1
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(inputs: range, seed: int, workers: int) -> list[str]:
    """The outcome of each input, in order."""
    with TemporaryDirectory() as folder:
        files = whole_files(Path(folder))
        job = partial(outcome, files=files, seed=seed, folder=Path(folder))
        results = map_in_processes(job, inputs, workers, SECONDS) if workers else map(job, inputs)
        return [f"WRONG: {r.reason}" if isinstance(r, NoResult) else r for r in results]


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20000, help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--show", type=int, default=20, help="how many reasons (default: 20)")
    parser.add_argument("--save", type=Path, help="folder for what went wrong")
    args = parser.parse_args()
    outcomes = run(range(args.inputs), args.seed, args.workers)
    kinds = Counter(result.partition(":")[0] for result in outcomes)
    print(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    whys = Counter(re.sub(r"[0-9.]+", "#", result)[:90] for result in outcomes)
    for why, count in whys.most_common(args.show):
        print(f"{count:6d}  {why}")
    wrong = [number for number, result in enumerate(outcomes) if result.startswith("WRONG")]
    if args.save and wrong:
        args.save.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as folder:
            files = whole_files(Path(folder))
        for number in wrong:
            (args.save / str(number)).write_bytes(damage(files, args.seed, number))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
