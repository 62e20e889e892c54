"""Chest phantoms: drawn radiographs for the sample data and the tests. They show no person.

A frontal phantom is a map of what the X-rays meet on their way: soft tissue, less the air of the
lungs, plus bone. Disease takes air away, as it does in a real lung. Lengths are in half image
widths: x runs from -1 (left edge) to 1, y from -1 (top edge) to 1. As in every radiograph, the
left side of the image is the right side of the patient.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.record import LABELS

_MESH = 7  # cells along each side, in which a drawing is bent


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in all images of one patient."""

    body: float  # half width of the trunk
    chest: float  # half width of the rib cage at its base
    apex: float  # y of the top of the lungs
    base: float  # y of the top of the right diaphragm
    heart: float  # size of the heart, 1 is healthy, 1.3 is too large
    knob: float  # size of the aortic arch
    rib_gap: float  # distance from rib to rib
    rib_slope: float  # how steeply the ribs fall towards the side
    clavicle: float  # y of the outer end of the clavicles
    breast: float  # density of the breast shadows, 0 is none
    bubble: float  # density of the air in the stomach, 0 is none
    own: int  # seed of what only this person has: the bends of all shapes, the roots of the vessels


def random_anatomy(rng: np.random.Generator) -> Anatomy:
    """Return the anatomy of a random adult."""
    chest = rng.uniform(0.66, 0.78)
    return Anatomy(
        body=chest + rng.uniform(0.10, 0.22),
        chest=chest,
        apex=rng.uniform(-0.80, -0.70),
        base=rng.uniform(0.36, 0.50),
        heart=rng.uniform(0.92, 1.18),
        knob=rng.uniform(0.7, 1.2),
        rib_gap=rng.uniform(0.145, 0.175),
        rib_slope=rng.uniform(0.28, 0.45),
        clavicle=rng.uniform(-0.80, -0.70),
        breast=max(0.0, rng.uniform(-0.8, 1.0)),
        bubble=rng.uniform(0.0, 1.0),
        own=int(rng.integers(2**32)),
    )


def draw_phantom(
    label: str, rng: np.random.Generator, size: int = 256, anatomy: Anatomy | None = None
) -> np.ndarray:
    """Return a frontal chest radiograph: (size, size) uint8, bone is bright and air dark.

    `label` is one of data.record.LABELS. Images of one patient share an `anatomy`; without one,
    this is somebody new.
    """
    return draw_frontal(label, rng, size, anatomy)[0]


def draw_frontal(
    label: str, rng: np.random.Generator, size: int = 256, anatomy: Anatomy | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `draw_phantom` does, and where the disease is: (size, size) float32, 0 to 1."""
    if label not in LABELS:
        raise ValueError(f"label: found {label!r}; expected one of {', '.join(LABELS)}.")
    anatomy = anatomy or random_anatomy(rng)
    x, y = _grid(size)
    own = np.random.default_rng(anatomy.own)
    inside = _lung_depth(anatomy, x, y)
    opacity = _opacity(label, anatomy, rng, inside)
    air = _step(inside, 0.02) * (0.62 + 0.38 * np.clip(inside / 0.22, 0, 1))
    air *= 1 - 0.80 * _heart(anatomy, x, y)
    air *= 1 - opacity
    density = _soft_tissue(anatomy, x, y) - 0.50 * air + _bones(anatomy, x, y)
    density += 0.24 * _vessels(own, rng, size) * np.minimum(air, 0.6)
    density += 0.010 * _smooth_noise(rng, size, 48) + 0.015 * _smooth_noise(rng, size, 9)
    # In ribs: a fifth of a gap differs between people, a tenth with breath and stance.
    pose = _random_pose(rng) + 0.032 * _bends(own) + 0.014 * _bends(rng)
    density = _move(density, pose)
    opacity = opacity if label == "normal" else _move(opacity, pose)
    return _expose(density, rng), opacity


def draw_lateral(rng: np.random.Generator, size: int = 256) -> np.ndarray:
    """Return a chest radiograph from the side, (size, size) uint8, the spine on the right."""
    x, y = _grid(size)
    deep, heart = rng.uniform(0.50, 0.60), rng.uniform(0.9, 1.15)
    trunk = _ellipse(x, y, (0.0, 0.35), (deep + 0.26, 1.35), 0.05)
    lean = x + 0.10 * (y - 0.2) ** 2  # the back is round
    dome = 0.48 - 0.30 * (x + 0.1) + 0.35 * x**2  # the diaphragm falls towards the back
    inside = np.minimum((1 - _radius(lean, y, (0.02, 0.0), (deep, 0.80))) * 0.5, dome - y)
    air = _step(inside, 0.03) * (0.6 + 0.4 * np.clip(inside / 0.2, 0, 1))
    air *= 1 - 0.6 * _ellipse(x, y, (-0.20, 0.24), (0.27 * heart, 0.30 * heart), 0.12)
    air *= 1 - 0.5 * _ellipse(x, y, (0.02, -0.05), (0.09, 0.12), 0.12)  # the roots of the lungs
    spine = _step(0.09 - abs(lean - deep * 0.82), 0.03)
    ribs = _stripes(y - 0.5 * x, 0.17, 0.030) * _step(inside, 0.1)
    density = 0.75 * trunk - 0.56 * air + 0.10 * spine * _vertebrae(y) * trunk + 0.05 * ribs
    density += 0.015 * _smooth_noise(rng, size, 24)
    return _expose(_move(density, _random_pose(rng)), rng)


def draw_axial(rng: np.random.Generator, size: int = 256) -> np.ndarray:
    """Return one CT slice through the chest, (size, size) uint8, the spine at the bottom."""
    x, y = _grid(size)
    wide, high = rng.uniform(0.78, 0.90), rng.uniform(0.52, 0.60)
    body = _ellipse(x, y, (0, 0), (wide, high), 0.02)
    lungs = sum(
        _ellipse(x, y, (side * wide * 0.47, 0.02), (wide * 0.36, high * 0.72), 0.03)
        for side in (-1, 1)
    )
    heart = _ellipse(x, y, (0.10, -0.12), (0.30, 0.25), 0.03)
    vertebra = _ellipse(x, y, (0, high * 0.62), (0.13, 0.11), 0.03)
    aorta = _ellipse(x, y, (0.14, high * 0.34), (0.06, 0.06), 0.03)
    rim = _radius(x, y, (0, 0), (wide * 0.88, high * 0.85))
    ribs = _step(0.035 - abs(rim - 1), 0.02) * (np.cos(14 * np.arctan2(y, x)) > 0.2)
    lungs *= (1 - heart) * (1 - vertebra) * (1 - aorta)
    vessels = np.clip(_smooth_noise(rng, size, 40) - 1.5, 0, 1) * lungs
    density = 0.52 * body - 0.42 * lungs + 0.25 * vessels + 0.14 * (heart + aorta)
    density += 0.40 * vertebra + 0.35 * ribs
    density += 0.35 * _step(0.010 - abs(y - 0.72 + 0.10 * x**2), 0.01)  # the table
    density += 0.02 * rng.standard_normal((size, size), dtype=np.float32)
    return (255 * np.clip(density, 0, 1)).astype(np.uint8)


# Shapes. Each returns a float32 map.


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x as a row (1, size) and y as a column (size, 1)."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _step(distance: np.ndarray, edge: float) -> np.ndarray:
    """Rise smoothly from 0 to 1 where `distance` goes from -edge to edge."""
    t = distance / (2 * edge) + 0.5
    np.clip(t, 0, 1, out=t)
    t *= t * (3 - 2 * t)
    return t


def _radius(x: np.ndarray, y: np.ndarray, centre: tuple, radii: tuple) -> np.ndarray:
    """Return the distance from the centre, 1 on the ellipse."""
    return np.sqrt(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2)


def _ellipse(x: np.ndarray, y: np.ndarray, centre: tuple, radii: tuple, edge: float) -> np.ndarray:
    """Return 1 inside and 0 outside, softly."""
    return _step((1 - _radius(x, y, centre, radii)) * min(radii), edge)


def _stripes(position: np.ndarray, gap: float, width: float) -> np.ndarray:
    """Return bands `gap` apart, brighter at their rims, like bones with a hard shell."""
    off = abs((position / gap) % 1 - 0.5) * gap
    return _step(width - off, 0.012) * (0.75 + 0.5 * np.clip(off / width, 0, 1) ** 2)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return noise of about unit variance with `cells` bumps along each side."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


# Anatomy.


def _chest_wall(anatomy: Anatomy, y: np.ndarray) -> np.ndarray:
    """Return the half width of the rib cage at each height: a dome above, straight below."""
    down = np.clip((y - anatomy.apex) / 1.25, 0, 1)
    return anatomy.chest * (1 - (1 - down) ** 3.2) ** 0.55


def _diaphragm(anatomy: Anatomy, x: np.ndarray) -> np.ndarray:
    """Return the y of the diaphragm; the left dome (right in the image) is a little lower."""
    dome = (abs(x) - 0.52 * anatomy.chest) / (0.48 * anatomy.chest)
    return anatomy.base + 0.045 * _step(x, 0.01) + 0.20 * abs(dome) ** 2.5


def _lung_depth(anatomy: Anatomy, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far inside a lung each point is; negative outside."""
    apex_narrows = 0.16 * np.exp(-np.maximum(y - anatomy.apex, 0) / 0.10)
    to_side = _chest_wall(anatomy, y) - abs(x)
    to_middle = abs(x) - (0.11 + apex_narrows)
    return np.minimum(np.minimum(to_side, to_middle), _diaphragm(anatomy, x) - y)


def _heart(anatomy: Anatomy, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return heart, great vessels and aortic arch, 0 to 1."""
    low, grow = anatomy.base - 0.17, anatomy.heart
    turned_x, turned_y = 0.85 * x + 0.53 * y, 0.85 * y - 0.53 * x  # the apex points down and out
    middle = (0.85 * 0.13 + 0.53 * low, 0.85 * low - 0.53 * 0.13)
    ventricles = _ellipse(turned_x, turned_y, middle, (0.34 * grow, 0.25 * grow), 0.03)
    atrium = _ellipse(x, y, (-0.06, low), (0.15 * grow, 0.24 * grow), 0.03)
    arch = _ellipse(x, y, (0.10, -0.30), (0.095 * anatomy.knob, 0.11), 0.025)
    vessels = _step(0.15 - abs(x - 0.01), 0.03) * _step(y + 0.7, 0.2)
    return np.maximum(np.maximum(ventricles, atrium), np.maximum(arch, vessels))


def _soft_tissue(anatomy: Anatomy, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return trunk and neck without lungs or bone, 0 in the air around the body to about 1."""
    shoulder = anatomy.apex - 0.08 + 0.22 * np.clip(abs(x) - 0.22, 0, None)
    trunk = _step(anatomy.body + 0.30 * _step(-0.35 - y, 0.25) - abs(x), 0.03)
    neck = _step(0.25 - abs(x), 0.04)
    outline = np.maximum(trunk * _step(y - shoulder, 0.05), neck)
    thick = np.sqrt(np.clip(1 - (x / 1.35) ** 2, 0, 1)) * (0.80 + 0.06 * y)
    thick -= 0.13 * _step(0.045 - abs(x - 0.01), 0.03) * _step(-0.28 - y, 0.10)  # the windpipe
    belly = _step(y - _diaphragm(anatomy, x), 0.05)
    gas = _ellipse(x, y, (0.30, anatomy.base + 0.26), (0.16, 0.10), 0.04)
    breasts = sum(
        _ellipse(x, y, (side * 0.45, anatomy.base - 0.12), (0.34, 0.34), 0.06) for side in (-1, 1)
    )
    thick += 0.06 * belly - 0.16 * anatomy.bubble * gas + 0.09 * anatomy.breast * breasts
    return outline * thick


def _bones(anatomy: Anatomy, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ribs, clavicles, shoulder blades and spine."""
    wide, gap = abs(x), anatomy.rib_gap
    cage = _step(_chest_wall(anatomy, y) + 0.03 - wide, 0.02) * _step(wide - 0.10, 0.03)
    cage *= 1 - 0.75 * _step(y - _diaphragm(anatomy, x), 0.05)
    behind = _stripes(y - anatomy.rib_slope * wide**2, gap, 0.026)
    before = _stripes(y + 0.75 * wide, gap * 1.25, 0.034) * _step(wide - 0.34, 0.10)
    ribs = cage * (0.060 * behind + 0.035 * before * _step(y + 0.5, 0.2))
    along = np.clip((wide - 0.10) / 0.75, 0, 1)
    bar = anatomy.clavicle + 0.20 * (1 - along) ** 2 - 0.04 * np.sin(6 * along)
    clavicle = _step(0.030 - abs(y - bar), 0.012) * _step(wide - 0.09, 0.02)
    blade = _step(0.05 - abs(wide - 0.30 * y - anatomy.chest - 0.06), 0.03)
    blade *= _step(y + 0.72, 0.06) * _step(-0.12 - y, 0.10)
    spine = _step(0.095 - wide, 0.02) * _vertebrae(y) * (0.7 + 0.3 * _step(y, 0.5))
    arms = _ellipse(wide, y, (anatomy.body + 0.10, -0.62), (0.16, 0.16), 0.03)
    return ribs + 0.12 * clavicle + 0.04 * blade + 0.075 * spine + 0.10 * arms


def _vertebrae(y: np.ndarray) -> np.ndarray:
    """Return 1 in the bodies of the vertebrae and less in the discs between them."""
    return 1 - 0.5 * _step(0.018 - abs((y / 0.15) % 1 - 0.5) * 0.15, 0.012)


def _vessels(own: np.random.Generator, rng: np.random.Generator, size: int) -> np.ndarray:
    """Return the vessels that fan out from the roots of both lungs, 0 to 1.

    The vessels of one patient (`own`) leave the root in the same directions in every image; breath
    and heartbeat move them.
    """
    sheet = Image.new("L", (size, size))
    pen = ImageDraw.Draw(sheet)
    for side in (-1, 1):
        for angle in own.uniform(-1.45, 1.35, 18):
            _draw_branch(pen, rng, size, (side * 0.17, -0.02 + 0.03 * side), (side, angle))
    sheet = sheet.filter(ImageFilter.GaussianBlur(size / 320))
    return np.asarray(sheet, np.float32) / 255


def _draw_branch(
    pen: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    size: int,
    start: tuple[float, float],
    course: tuple[int, float],
) -> None:
    """Draw a vessel that wanders outwards from `start` and fades; `course` is side and angle."""
    (x, y), (side, angle) = start, course
    steps = 7
    for k, bend in enumerate(rng.normal(0, 0.25, steps)):
        angle += bend
        to_x, to_y = x + side * 0.07 * math.cos(angle), y + 0.08 * math.sin(angle)
        line = [(v + 1) * size / 2 for v in (x, y, to_x, to_y)]
        fade = 1 - k / steps
        pen.line(line, fill=int(60 + 190 * fade), width=max(1, round(size * 0.013 * fade)))
        x, y = to_x, to_y


# Disease.


def _opacity(
    label: str, anatomy: Anatomy, rng: np.random.Generator, inside: np.ndarray
) -> np.ndarray:
    """Return the fraction of the air that the disease replaces, in the shape of `inside`."""
    if label == "normal":
        return np.zeros_like(inside)
    draw = _consolidation if label == "pneumonia" else _patches
    return draw(anatomy, rng, len(inside)) * _step(inside + 0.02, 0.02)


def _consolidation(anatomy: Anatomy, rng: np.random.Generator, size: int) -> np.ndarray:
    """Fill one lobe on one side, densely; the fissure cuts it off sharply."""
    x, y = _grid(size)
    side, upper = (1 if rng.random() < 0.5 else -1), rng.random() < 0.5
    fissure = rng.uniform(-0.10, 0.00) + 0.15 * (side * x - 0.4)
    centre_y = rng.uniform(-0.42, -0.34) if upper else anatomy.base - rng.uniform(0.20, 0.28)
    radii = rng.uniform(0.34, 0.44), rng.uniform(0.34, 0.42)
    ragged = 0.10 * _smooth_noise(rng, size, 9)
    fill = _step(1 - _radius(x, y, (side * rng.uniform(0.36, 0.46), centre_y), radii) + ragged, 0.2)
    cut = _step(fissure - y if upper else y - fissure, 0.03)
    return rng.uniform(0.85, 0.95) * fill * cut * (side * x > 0)


def _patches(anatomy: Anatomy, rng: np.random.Generator, size: int) -> np.ndarray:
    """Cloud the outer and lower parts of both lungs, patchily and less densely.

    The pattern that is typical of COVID-19 in Simpson et al. 2020, doi:10.1148/ryct.2020200152.
    """
    x, y = _grid(size)
    clear = np.ones((size, size), np.float32)
    for side in (-1, 1):
        for height in (-0.42, -0.24, -0.06):
            centre_y = anatomy.base + height + rng.uniform(-0.06, 0.08)
            wall = float(_chest_wall(anatomy, np.float32(centre_y)))
            centre = side * wall * rng.uniform(0.74, 0.90), centre_y
            radii = rng.uniform(0.15, 0.22), rng.uniform(0.13, 0.18)
            clear *= 1 - _step(1 - _radius(x, y, centre, radii), 0.55)
    mottled = np.clip(0.82 + 0.16 * _smooth_noise(rng, size, 22), 0.3, 1)
    return rng.uniform(0.75, 0.90) * (1 - clear) * mottled


# The machine.


def _random_pose(rng: np.random.Generator) -> np.ndarray:
    """Return where the corners of the picture's mesh are in the drawing, (.., .., 2) in x and y."""
    turn, zoom = rng.normal(0, 0.025), rng.uniform(0.90, 1.0)
    a, b = zoom * math.cos(turn), zoom * math.sin(turn)
    x, y = np.broadcast_arrays(*_grid(_MESH + 1))
    centre = rng.uniform(-0.05, 0.05, 2)
    return np.stack([a * x + b * y, a * y - b * x], axis=2) + centre


def _bends(rng: np.random.Generator) -> np.ndarray:
    """Return how far a crooked body moves those corners, about 1 in x and y, 0 at the rim."""
    x, y = _grid(_MESH + 1)
    inner = (1 - x**6) * (1 - y**6)
    return inner[..., None] * rng.standard_normal((_MESH + 1, _MESH + 1, 2))


def _move(drawing: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Shift, turn, scale and bend a drawing; what comes into view is air."""
    size = len(drawing)
    corner = (pose + 1) * (size / 2)
    around = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    edges = [round(size * k / _MESH) for k in range(_MESH + 1)]
    spans = list(pairwise(edges))
    boxes = [(left, top, right, bottom) for top, bottom in spans for left, right in spans]
    mesh = list(zip(boxes, np.concatenate(around, axis=2).reshape(-1, 8).tolist(), strict=True))
    image = Image.fromarray(np.asarray(drawing, np.float32))
    moved = image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(moved)


def _expose(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture, uint8, with grain and a lead marker.

    The machine's automatic exposure aims at a mean grey that knows nothing of the disease: an
    opacity must be seen, not measured as brightness.
    """
    grain = rng.uniform(0.004, 0.012) * rng.standard_normal(density.shape, dtype=np.float32)
    low, high = rng.uniform(0.02, 0.10), rng.uniform(0.92, 1.05)
    linear = np.clip((density + grain - low) / (high - low), 0, 1)
    step = max(1, len(linear) // 32)
    exponent = _exponent_for_mean(linear[::step, ::step], rng.uniform(0.42, 0.58))
    picture = Image.fromarray((255 * linear**exponent).astype(np.uint8))
    if rng.random() < 0.6:
        _draw_marker(picture, rng)
    return np.asarray(picture)


def _exponent_for_mean(values: np.ndarray, mean: float) -> float:
    """Return the gamma in [0.3, 3] that brings values in [0, 1] nearest to the mean."""
    low, high = 0.3, 3.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if (values**middle).mean() > mean else (low, middle)
    return (low + high) / 2


def _draw_marker(picture: Image.Image, rng: np.random.Generator) -> None:
    """Draw the lead letter L in the corner on the patient's left."""
    size = picture.width
    x, y = size * rng.uniform(0.86, 0.93), size * rng.uniform(0.04, 0.16)
    foot = y + size * 0.045
    corners = [(x, y), (x, foot), (x + size * 0.028, foot)]
    ImageDraw.Draw(picture).line(corners, fill=250, width=max(1, size // 90))
