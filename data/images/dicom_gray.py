"""Stored values -> 8-bit gray, in the order of the standard (PS3.4 N.2).

Modality LUT or rescale; VOI LUT or window; 0 .. 255 by the range that the table, the window or the
stored bits define, or by percentiles where nothing says; Presentation LUT; MONOCHROME1 inverted, so
that dense is bright. What is empty or impossible in the header counts as absent, and so does a
window that does not show these values.
"""

import math
from collections.abc import Callable, Iterator, MutableSequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.pixels import apply_modality_lut, apply_windowing

from data.images.gray import by_table, to_8bit, usual_range
from data.images.is_radiograph import MIN_CONTRAST

FUNCTIONS = {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
SIDE = 128  # rows and columns, at least, by which a window is judged; where there are so many

Convert = Callable[[np.ndarray], np.ndarray]


def to_gray(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Values (H, W) as in the file -> (H, W) uint8."""
    rescale = _rescale(dataset)
    modality = _first_table(dataset, "ModalityLUTSequence")
    values = modality.look_up if modality else partial(apply_modality_lut, ds=rescale)
    convert = _first_that_shows(stored, dataset, values, _voi(dataset, rescale, values))
    convert = convert or _by_range(_without_padding(stored, dataset), rescale, modality, values)
    if presentation := _first_table(dataset, "PresentationLUTSequence"):
        convert = partial(_present, convert=convert, table=presentation)
    gray = by_table(stored, convert)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray


class _Table(NamedTuple):
    """A lookup table of the header: `entries` (n,) uint16, of which the first is for `first`."""

    first: int
    entries: np.ndarray

    @property
    def white(self) -> int:
        """The largest value of so many bits; headers claim more bits than their table has."""
        return 2 ** max(8, int(self.entries.max()).bit_length()) - 1

    def look_up(self, values: np.ndarray) -> np.ndarray:
        places = np.clip(values.astype(float) - self.first, 0, len(self.entries) - 1)
        return self.entries[places.astype(np.intp)]


# ---- Stored values -> gray ----


def _voi(
    dataset: pydicom.Dataset, rescale: pydicom.Dataset, values: Convert
) -> Iterator[tuple[Convert, float]]:
    """The conversions that the header offers, the preferred one first, and how many values each
    spreads from black to white."""
    if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        return  # they are of gray values only (PS3.3, C.11.2)
    for table in _tables(dataset, "VOILUTSequence"):
        yield (
            lambda stored, table=table: to_8bit(table.look_up(values(stored)), 0, table.white),
            len(table.entries),
        )
    for window in _windows(dataset, rescale):
        yield (
            lambda stored, window=window: to_8bit(
                apply_windowing(values(stored), window), *_window_range(window)
            ),
            window.WindowWidth,
        )


def _by_range(
    film: np.ndarray, rescale: pydicom.Dataset, modality: _Table | None, values: Convert
) -> Convert:
    """The conversion where the header offers none."""
    if rescale.BitsStored > 8:
        black, white = sorted(values(np.array(usual_range(film))))
    elif modality:
        black, white = 0, modality.white
    else:
        black, white = sorted(values(np.array(_stored_range(rescale))))
    return lambda stored: to_8bit(values(stored), black, white)


def _present(stored: np.ndarray, convert: Convert, table: _Table) -> np.ndarray:
    """A Presentation LUT goes from black to white, however many entries it has (PS3.3 C.11.6)."""
    places = convert(stored) / 255 * (len(table.entries) - 1)
    return to_8bit(table.entries[np.rint(places).astype(np.intp)], 0, table.white)


def _first_that_shows(
    stored: np.ndarray,
    dataset: pydicom.Dataset,
    values: Convert,
    vois: Iterator[tuple[Convert, float]],
) -> Convert | None:
    """The first conversion that the film does not lie outside of.

    It does if it is blank once converted, though it has contrast by the values that it may have, or
    beyond the window. So a film that is blank in itself stays blank.
    """
    few = stored[:: stored.shape[0] // SIDE or 1, :: stored.shape[1] // SIDE or 1]
    ends = np.percentile(_without_padding(few, dataset), [5, 95], method="inverted_cdf")
    ends = ends.astype(stored.dtype)
    contrast = 255 * float(np.ptp(values(ends)))
    full = float(np.ptp(values(np.array(_stored_range(dataset)))))
    for convert, width in vois:
        if np.ptp(convert(ends)) >= MIN_CONTRAST or contrast / min(width, full) < MIN_CONTRAST:
            return convert
    return None


def _window_range(window: pydicom.Dataset) -> tuple[float, float]:
    """What apply_windowing makes of black and of white: after a negative slope black is higher."""
    low, high = _stored_range(window)
    if "RescaleSlope" in window:
        low, high = (window.RescaleSlope * end + window.RescaleIntercept for end in (low, high))
    return low, high


def _stored_range(header: pydicom.Dataset) -> tuple[int, int]:
    bits = header.BitsStored
    if header.PixelRepresentation:
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def _without_padding(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """The values (n,) that belong to the film; all of them if that leaves none."""
    ends = _numbers(dataset, "PixelPaddingValue")[:1]
    ends += _numbers(dataset, "PixelPaddingRangeLimit")[:1] if ends else []
    if not ends or not np.isfinite(ends).all():
        return stored.ravel()
    if stored.dtype.kind in "iu":  # some headers give it as unsigned where the pixels are signed
        ends = np.array(ends, np.int64).astype(stored.dtype)
    film = stored[(stored < min(ends)) | (stored > max(ends))]
    return film if film.size else stored.ravel()


# ---- What is valid in a header ----


def _rescale(dataset: pydicom.Dataset) -> pydicom.Dataset:
    """What pydicom's functions need, without a window."""
    header = pydicom.Dataset()
    header.BitsStored, header.PixelRepresentation = dataset.BitsStored, dataset.PixelRepresentation
    header.PhotometricInterpretation = "MONOCHROME2"
    slope, intercept = (_numbers(dataset, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if len(slope) == len(intercept) == 1 and np.isfinite(slope + intercept).all() and slope[0]:
        header.RescaleSlope, header.RescaleIntercept = slope[0], intercept[0]
    return header


def _windows(dataset: pydicom.Dataset, rescale: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    function = str(dataset.get("VOILUTFunction") or "").strip().upper()
    function = function if function in FUNCTIONS else "LINEAR"
    least = 1 if function == "LINEAR" else np.nextafter(0, 1)  # PS3.3 C.11.2.1.2 and C.11.2.1.3
    centres, widths = (_numbers(dataset, name) for name in ("WindowCenter", "WindowWidth"))
    for centre, width in zip(centres, widths, strict=False):
        if math.isfinite(centre) and math.isfinite(width) and width >= least:
            window = pydicom.Dataset(rescale)
            window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centre, width, function
            yield window


def _first_table(dataset: pydicom.Dataset, keyword: str) -> _Table | None:
    return next(_tables(dataset, keyword), None)


def _tables(dataset: pydicom.Dataset, keyword: str) -> Iterator[_Table]:
    for item in dataset.get(keyword) or ():
        try:
            count, first, _ = map(int, item.LUTDescriptor)
            data = item["LUTData"].value
            count = count or 2**16
            if isinstance(data, bytes):  # of 8 bits, one entry a byte
                order = "<" if dataset.is_little_endian else ">"
                data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else np.uint8)
            entries = np.atleast_1d(np.asarray(data, np.int64))[:count]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            continue
        if len(entries) > 1 and 0 <= entries.min() < entries.max() < 2**16:
            yield _Table(first, entries.astype(np.uint16))


def _numbers(dataset: pydicom.Dataset, keyword: str) -> list[float]:
    """The values of an element, NaN for each that is not a number; [] if it is absent."""
    element = dataset.get_item(keyword)
    if element is None:
        return []
    values = element.value
    if isinstance(values, bytes) and dictionary_VR(keyword) == "DS":  # not parsed: a bad one raises
        values = values.decode("ascii", "replace").strip("\0 ").split("\\")
    elif isinstance(values, bytes):
        values = dataset.get(keyword)
    return [
        _number(value) for value in (values if isinstance(values, MutableSequence) else [values])
    ]


def _number(value: object) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
