"""Near duplicates among prepared images: one radiograph resized, recompressed, cropped, framed.

Chest films all look alike, and a cropped copy differs more from its original, as a whole, than two
patients do. So an image is known by its landmarks: 30 spots of high local contrast, each with a
perceptual hash of what is around it and its place. Two images that share landmarks, in places that
fit one scale and shift, are candidates; candidates are compared pixel by pixel (data.alignment).
Left and right are never swapped: a mirrored copy is no duplicate.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.alignment import similarity

SIDES = (96, 77, 61)  # pixels; steps of 1.25, what a crop of 10 % on all sides enlarges by
PER_SIDE = 10  # landmarks; with 8, one copy in 60 shares only 4 with its original
BOXES = (5, 7, 13)  # pixels: a spot is 5 wide, is seen against 7, its contrast is that of 13
FAINT = 0.3  # of the contrast around; a spot below is noise
PATCH = 24  # pixels around a spot that are hashed
# A hash begins with its slowest waves: a copy flips 1 in 50 of their bits, of the fastest 1 in 5.
SLOWEST_FIRST = np.add.outer(range(8), range(8)).ravel().argsort(kind="stable")
BYTES = 10  # of a landmark: 8 of the hash, then x and y, 1 to 255; all 0 where there is none

TURNS = 16  # orders in which hashes are sorted, each by other bits first
NEIGHBOURS = 8  # that a hash is compared with in each order; 4 lose 1 hard copy in 15 of 30,000
FLIPS = 10  # of 64 bits; a copy's landmark has 0 to 12, one of another image 32 on average
DRIFT = 40  # of 255; a landmark moves 26 when one side is cropped by 10 %
SHARED = 4  # landmarks of a candidate, at least; nine copies in ten share 9 and more
CANDIDATES = 8  # of an image, at most, not counting those that chose it
APART = 0.08  # of the image's side; nearer landmarks say nothing of the scale
MISFIT = 0.0125  # of the side; how far a landmark may be from where scale and shift put it
CORNER = 0.2  # of the side; the furthest that a corner moves: 0.125 if 10 % are cropped all around
SPREAD = 0.25  # of the side, over which fitting landmarks reach; one edge fits at every scale
BLOCK = 1000  # pairs compared at a time, in 10 MB

# Of 1,183 real images, those of two patients reach 0.30, two exposures of one patient 0.72;
# phantoms 0.46 and 0.69. Copies have 0.97 and more, 0.80 if halved, cropped, recompressed and
# written on at once; the one that was published with clipped contrast and other arrows has 0.77.
SAME = 0.75


class Pair(NamedTuple):
    """Two images that are one radiograph: indices, first < second; similarity, SAME to 1."""

    first: int
    second: int
    similarity: float


def signature(image: Image.Image) -> np.ndarray:
    """The landmarks of an 8-bit grayscale image of any size: (30, 10) uint8, see BYTES.

    A landmark is an extremum of the difference of two box blurs, as in Agrawal 2008
    (doi:10.1007/978-3-540-88693-8_8), but relative to the contrast around it, so that letters and
    borders do not take all places. Its hash is the `phash` of ImageHash, of all at once.
    """
    landmarks = np.zeros((len(SIDES) * PER_SIDE, BYTES), np.uint8)
    patches = np.zeros((len(landmarks), PATCH, PATCH), np.uint8)
    small = image.resize((SIDES[0], SIDES[0]), Image.Resampling.BILINEAR, reducing_gap=3.0)
    count = 0
    for side in SIDES:
        pixels = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))
        x, y = _spots(pixels)
        new = slice(count, count := count + len(x))
        patches[new] = sliding_window_view(pixels, (PATCH, PATCH))[y, x]
        landmarks[new, 8:] = (255 * (np.stack([x, y], axis=1) + PATCH // 2) + side // 2) // side
    landmarks[:count, :8] = _hashes(patches[:count])
    return landmarks


def _spots(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the patches around the PER_SIDE strongest spots of an image (H, W)."""
    pixels = pixels.astype(np.float32)
    spot, ring, around = BOXES
    blob = uniform_filter(pixels, ring) - uniform_filter(pixels, spot)
    contrast = np.sqrt(uniform_filter(blob**2, around).clip(0))
    half = PATCH // 2
    strength = abs(blob / (contrast + 0.1))[half : 1 - half, half : 1 - half]
    y, x = np.nonzero((maximum_filter(strength, spot) == strength) & (strength > FAINT))
    best = np.argsort(-strength[y, x], kind="stable")[:PER_SIDE]
    return x[best], y[best]


def _hashes(patches: np.ndarray) -> np.ndarray:
    """The bits of `imagehash.phash(patch, highfreq_factor=PATCH // 8)`, each patch's in 8 uint8."""
    low = dctn(patches, axes=(1, 2))[:, :8, :8].reshape(-1, 64)[:, SLOWEST_FIRST]
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)


def find_duplicates(
    signatures: np.ndarray,
    read: Callable[[int], Image.Image],
    progress: Callable[[list], Iterable] = iter,
) -> list[Pair]:
    """The pairs among N images that are one radiograph, sorted.

    signatures: (N, 30, 10) uint8. read: the image of an index, 8-bit grayscale; called twice for
    each candidate. progress: wraps the list of candidates, as tqdm does. The pairs do not depend on
    the order of the images, and the time grows as N log N.
    """
    # In an order of their own, so that ties and who is first are settled by content.
    contents = np.array([landmarks.tobytes() for landmarks in signatures], dtype=bytes)
    order = contents.argsort(kind="stable")
    pairs = []
    for candidate in progress(candidates(signatures[order])):
        first, second = order[[candidate.first, candidate.second]].tolist()
        alike = similarity(read(first), read(second), candidate.scale, candidate.shift)
        if alike >= SAME:
            pairs.append(Pair(*sorted((first, second)), alike))
    return sorted(pairs)


def clusters(pairs: Iterable[Pair], images: int) -> list[list[int]]:
    """The images that pairs connect, directly or by others: sorted lists of two or more."""
    ends = np.array([pair[:2] for pair in pairs], dtype=np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(images, images))
    _, label = connected_components(graph, directed=False)
    members = {}
    for image in np.unique(ends).tolist():
        members.setdefault(label[image], []).append(image)
    return sorted(members.values())


class Candidate(NamedTuple):
    """Two images, and where the point p of the first is in the second: at scale * p + shift."""

    first: int
    second: int
    scale: np.ndarray  # (2,) in x and y
    shift: np.ndarray  # (2,) in widths and heights of the image


def candidates(signatures: np.ndarray) -> list[Candidate]:
    """The pairs among (N, 30, 10) signatures that share landmarks in places that fit.

    At most CANDIDATES * N, each among the best of one of its images; first < second, sorted.
    """
    found = []
    pairs = _pairs_that_meet(signatures)
    for begin in range(0, len(pairs), BLOCK):
        block = pairs[begin : begin + BLOCK]
        same = _same(signatures[block[:, 0]], signatures[block[:, 1]])
        for which in np.flatnonzero(same.sum(axis=(1, 2)) >= SHARED):
            first, second = block[which].tolist()
            of_first, of_second = np.nonzero(same[which])
            places = signatures[first, of_first, 8:], signatures[second, of_second, 8:]
            fit = _fit(places[0] / 255, places[1] / 255)
            if fit:
                found.append(Candidate(first, second, *fit))
    return found


def _pairs_that_meet(signatures: np.ndarray) -> np.ndarray:
    """Images of which two landmarks meet: (P, 2), first < second, sorted; P <= CANDIDATES * N.

    The hashes are sorted TURNS times, each time with other bits in front (Charikar 2002,
    doi:10.1145/509907.509965), and compared with the NEIGHBOURS next ones alone. Two images
    must meet twice in one turn, and only the best pairs of each image are kept: memory grows with
    the images, not with how alike they are.
    """
    images, places = signatures.shape[:2]
    used = np.flatnonzero(signatures[..., 8])
    landmarks = signatures.reshape(-1, BYTES)[used]
    bits, place, owner = (
        _bits(landmarks),
        landmarks[:, 8:].copy(),
        (used // places).astype(np.int32),
    )
    del used, landmarks
    room = np.empty(NEIGHBOURS * len(bits), np.int64)  # what is not used takes no memory
    pairs, meetings = np.empty(0, np.int64), np.empty(0, np.int64)
    for turn in range(0, 64, 64 // TURNS):
        order = (bits << np.uint64(turn) | bits >> np.uint64(-turn % 64)).argsort(kind="stable")
        order = order.astype(np.int32)
        ordered = bits[order]
        count = 0
        for step in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(np.bitwise_count(ordered[:-step] ^ ordered[step:]) <= FLIPS)
            a, b = order[near], order[near + step]
            near = (owner[a] != owner[b]) & (_drift(place[a], place[b]) <= DRIFT)
            a, b = owner[a[near]], owner[b[near]]
            met = room[count : count + len(a)]
            np.multiply(np.minimum(a, b), images, out=met, dtype=np.int64)
            met += np.maximum(a, b)
            count += len(a)
        met = room[:count]
        met.sort()
        again, times = np.unique(met[1:][met[1:] == met[:-1]], return_counts=True)
        pairs, back = np.unique(np.concatenate([pairs, again]), return_inverse=True)
        meetings = np.bincount(back, np.concatenate([meetings, times + 1])).astype(np.int64)
        keep = _best_of_either(pairs // images, pairs % images, meetings)
        pairs, meetings = pairs[keep], meetings[keep]
    return np.stack(np.divmod(pairs, max(1, images)), axis=1)


def _drift(place: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
    """How far places (..., 2) uint8 are from each other, in x or in y."""
    return (np.maximum(place, elsewhere) - np.minimum(place, elsewhere)).max(axis=-1)


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which landmarks of the P first images are which of the second, (P, 30, 30) bool."""
    first, second = first[:, :, None], second[:, None]
    there = (first[..., 8] > 0) & (second[..., 8] > 0)
    near = _drift(first[..., 8:], second[..., 8:]) <= DRIFT
    return there & near & (np.bitwise_count(_bits(first) ^ _bits(second)) <= FLIPS)


def _bits(landmarks: np.ndarray) -> np.ndarray:
    """The hashes of landmarks (..., 10) as (...) uint64."""
    hashes = np.ascontiguousarray(landmarks[..., :8])
    return hashes.view(">u8")[..., 0].astype(np.uint64)


def _best_of_either(first: np.ndarray, second: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Which pairs are among the CANDIDATES best of one of their two images."""
    image, shared = np.concatenate([first, second]), np.concatenate([shared, shared])
    order = np.lexsort((-shared, image))
    ranked = image[order]
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return (rank.reshape(2, -1) < CANDIDATES).any(axis=0)


def _fit(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift, (2,) each, that bring most points (M, 2) of a to b; None if too few fit.

    The median over all slopes between two points (Sen 1968, doi:10.1080/01621459.1968.10480934)
    bears wrong matches among the right ones.
    """
    apart_a, apart_b = a[:, None] - a, b[:, None] - b
    scale = np.ones(2)
    for axis in range(2):
        far = abs(apart_a[..., axis]) > APART
        if far.any():
            scale[axis] = np.median(apart_b[..., axis][far] / apart_a[..., axis][far])
    shift = np.median(b - scale * a, axis=0)
    fits = (abs(scale * a + shift - b) <= MISFIT).all(axis=1)
    corners = np.abs([shift, scale + shift - 1])
    if fits.sum() < SHARED or corners.max() > CORNER:
        return None
    return (scale, shift) if np.ptp(a[fits], axis=0).max() >= SPREAD else None
