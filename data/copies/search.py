"""Near duplicates among prepared images: one radiograph resized, recompressed, cropped, framed.

Two images that share landmarks (data.copies.landmarks), in places that fit one scale and shift, are
candidates; candidates are compared pixel by pixel (data.copies.alignment). Left and right are never
swapped: a mirrored copy is not a duplicate.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.copies.alignment import similarity
from data.copies.landmarks import BYTES
from util.workers import NoResult, map_in_processes

TURNS = 16  # orders in which hashes are sorted, each by other bits first
NEIGHBOURS = 8  # compared with each hash in each order; with 4, 1 hard copy in 15 of 30,000 is lost
FLIPS = 10  # of 64 bits; a copy's landmark has 0 to 12, another image's has 32 on average
MEET = 8  # of 64 bits, for at least one landmark; with 10, twice as many pairs meet by chance
DRIFT = 40  # of 255; a landmark moves 26 when one side is cropped by 10 %
SHARED = 4  # landmarks of a candidate, at least; nine copies in ten share 9 or more
CANDIDATES = 8  # of an image, at most, not counting images of which it is a candidate
APART = 0.08  # of the image's side; closer landmarks say nothing about the scale
MISFIT = 0.0125  # of the side; how far a landmark may lie from where scale and shift put it
CORNER = 0.2  # of the side; the furthest that a corner moves: 0.125 if 10 % are cropped all around
SPREAD = 0.25  # of the side, over which fitting landmarks reach; one edge fits at every scale
BLOCK = 100  # pairs compared at a time, in 1 MB
MANY = 200  # blocks; fewer are compared sooner than processes start

# Of 1,182 real images, those of two patients reach 0.43, two exposures of one patient 0.72;
# phantoms 0.46 and 0.69. Copies have 0.97 or more, 0.80 if halved, cropped, recompressed and
# written on together; one that was published with clipped contrast and other arrows has 0.77.
SAME = 0.75


class Pair(NamedTuple):
    """Two images that are one radiograph: indices, first < second; similarity, SAME to 1."""

    first: int
    second: int
    similarity: float


def find_duplicates(
    signatures: np.ndarray,
    read: Callable[[int], Image.Image],
    workers: int = 1,
    progress: Callable[[list], Iterable] = iter,
) -> list[Pair]:
    """The pairs among N images that are one radiograph, sorted.

    signatures: (N, 30, 10) uint8, of landmarks.py. read: index -> 8-bit grayscale image; called
    twice for each candidate, in other processes if there are many, so it must be picklable.
    progress: wraps a list of blocks of work, as tqdm does.

    The pairs do not depend on the order of the images, and the time grows as N log N. Each image
    finds the CANDIDATES that are most like it, so a group of more copies than that may be found as
    two.
    """
    # Sorted by content, so that the order of the images decides no tie.
    contents = np.array([landmarks.tobytes() for landmarks in signatures], dtype=bytes)
    order = contents.argsort(kind="stable")
    compare = _Comparison(signatures[order], order, read)
    meeting = _pairs_that_meet(compare.signatures)
    blocks = [meeting[begin : begin + BLOCK] for begin in range(0, len(meeting), BLOCK)]
    apart = workers > 1 and len(blocks) > MANY
    results = map_in_processes(compare, blocks, workers) if apart else map(compare, blocks)
    pairs = []
    for _, duplicates in zip(progress(blocks), results, strict=True):
        if isinstance(duplicates, NoResult):
            raise ChildProcessError(f"while copies were looked for: {duplicates.reason}")
        pairs += duplicates
    return sorted(pairs)


@dataclass(frozen=True)
class _Comparison:
    """Pairs (P, 2) of places in `signatures` -> those of them that are one radiograph.

    order: the index, for `read` and for the result, of each place.
    """

    signatures: np.ndarray
    order: np.ndarray
    read: Callable[[int], Image.Image]

    def __call__(self, pairs: np.ndarray) -> list[Pair]:
        duplicates = []
        for candidate in candidates(self.signatures, pairs):
            first, second = self.order[[candidate.first, candidate.second]].tolist()
            images = self.read(first), self.read(second)
            score = similarity(*images, candidate.scale, candidate.shift)
            if score >= SAME:
                duplicates.append(Pair(*sorted((first, second)), score))
        return duplicates


def connected(pairs: Iterable[Pair], images: int) -> list[list[int]]:
    """The images that pairs connect, directly or through others: sorted lists of two or more."""
    ends = np.array([pair[:2] for pair in pairs], dtype=np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(images, images))
    _, label = connected_components(graph, directed=False)
    members = {}
    for image in np.unique(ends).tolist():
        members.setdefault(label[image], []).append(image)
    return sorted(members.values())


class Candidate(NamedTuple):
    """Two images; the point p of the first lies at scale * p + shift in the second."""

    first: int
    second: int
    scale: np.ndarray  # (2,) in x and y
    shift: np.ndarray  # (2,) in widths and heights of the image


def candidates(signatures: np.ndarray, pairs: np.ndarray) -> Iterator[Candidate]:
    """Of pairs (P, 2) of (N, 30, 10) signatures, those that share landmarks in fitting places."""
    same = _same(signatures[pairs[:, 0]], signatures[pairs[:, 1]])
    for which in np.flatnonzero(same.sum(axis=(1, 2)) >= SHARED):
        first, second = pairs[which].tolist()
        of_first, of_second = np.nonzero(same[which])
        places = signatures[first, of_first, 8:], signatures[second, of_second, 8:]
        fit = _fit(places[0] / 255, places[1] / 255)
        if fit:
            yield Candidate(first, second, *fit)


def _pairs_that_meet(signatures: np.ndarray) -> np.ndarray:
    """Images with landmarks that meet: (P, 2), first < second, sorted; P <= CANDIDATES * N.

    The hashes are sorted TURNS times, each time with other bits in front (Charikar 2002,
    doi:10.1145/509907.509965), and compared only with the NEIGHBOURS next ones. After each turn
    only each image's most frequent pairs are kept: memory grows with the number of images, not
    with their similarity.
    """
    images, places = signatures.shape[:2]
    used = np.flatnonzero(signatures[..., 8])
    landmarks = signatures.reshape(-1, BYTES)[used]
    bits, place = _bits(landmarks), landmarks[:, 8:].copy()
    owner = (used // places).astype(np.int32)
    del used, landmarks
    pairs, meetings = np.empty(0, np.int64), np.empty(0, np.int64)
    for turn in range(0, 64, 64 // TURNS):
        order = (bits << np.uint64(turn) | bits >> np.uint64(-turn % 64)).argsort(kind="stable")
        ordered = bits[order]
        met = []
        for step in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(np.bitwise_count(ordered[:-step] ^ ordered[step:]) <= MEET)
            a, b = order[near], order[near + step]
            near = (owner[a] != owner[b]) & (_drift(place[a], place[b]) <= DRIFT)
            a, b = owner[a[near]].astype(np.int64), owner[b[near]]
            met.append(np.minimum(a, b) * images + np.maximum(a, b))
        del order, ordered
        met, times = np.unique(np.concatenate(met), return_counts=True)
        pairs, back = np.unique(np.concatenate([pairs, met]), return_inverse=True)
        meetings = np.bincount(back, np.concatenate([meetings, times])).astype(np.int64)
        keep = _best_of_either(pairs // images, pairs % images, meetings)
        pairs, meetings = pairs[keep], meetings[keep]
    return np.stack(np.divmod(pairs, max(1, images)), axis=1)


def _drift(place: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
    """How far places (..., 2) uint8 are from each other, in x or in y."""
    return (np.maximum(place, elsewhere) - np.minimum(place, elsewhere)).max(axis=-1)


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which landmarks of the P first images are which of the second, (P, 30, 30) bool."""
    first, second = first[:, :, None], second[:, None]
    present = (first[..., 8] > 0) & (second[..., 8] > 0)
    near = _drift(first[..., 8:], second[..., 8:]) <= DRIFT
    return present & near & (np.bitwise_count(_bits(first) ^ _bits(second)) <= FLIPS)


def _bits(landmarks: np.ndarray) -> np.ndarray:
    """The hashes of landmarks (..., 10) as (...) uint64."""
    hashes = np.ascontiguousarray(landmarks[..., :8])
    return hashes.view(">u8")[..., 0].astype(np.uint64)


def _best_of_either(first: np.ndarray, second: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Which pairs are among the CANDIDATES best of one of their two images."""
    image = np.concatenate([first, second]).astype(np.int32)
    worst_last = 256 * image.astype(np.int64) + 255 - np.tile(np.minimum(shared, 255), 2)
    order = worst_last.argsort(kind="stable")
    ranked = image[order]
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return (rank.reshape(2, -1) < CANDIDATES).any(axis=0)


def _fit(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift, (2,) each, that bring most points (M, 2) of a to b; None if too few fit.

    The median over all slopes between two points (Sen 1968, doi:10.1080/01621459.1968.10480934)
    tolerates wrong matches among the right ones.
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
