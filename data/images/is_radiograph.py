"""Whether a picture can be a radiograph at all; every image of a new dataset is checked."""

import numpy as np
from PIL import Image

# Measured on covid-chestxray-dataset and RSNA at about 64 pixels, 1,408 files that can be read:
MIN_CONTRAST = 8  # the gray levels from the 5th to the 95th percentile: 35 or more there
OTHER_HUE = 8  # of 128; a colour this far off the tint of the whole image counts as another hue
MAX_OTHER_HUE = 0.1  # the part of the pixels: up to 0.018 there, of arrows; photographs 0.4 to 0.8


def why_no_radiograph(image: Image.Image) -> str | None:
    """Why an `L` or `RGB` image is not a radiograph: blank, or a colour photograph; else None.

    A blank image with a marker is still blank. A radiograph with a coloured arrow is still a
    radiograph, and so is one of a single tint: prints and light boxes are blue or sepia.
    """
    small = image.reduce(tuple(max(1, side // 64) for side in image.size))
    dark, bright = np.percentile(small.convert("L"), [5, 95])
    if bright - dark < MIN_CONTRAST:
        return f"blank: nearly all of it within {bright - dark:.0f} of 255 gray levels"
    if small.mode == "RGB" and (part := _other_hues(small)) > MAX_OTHER_HUE:
        return f"a colour photograph: {part:.0%} of it is of other hues than the rest"
    return None


def _other_hues(image: Image.Image) -> float:
    """The part of the pixels whose colour lies off the line from gray to the image's mean tint."""
    _, blue, red = np.moveaxis(np.asarray(image.convert("YCbCr"), float), 2, 0) - 128
    colour = blue + 1j * red
    tint = colour.sum()
    colour *= tint.conj() / (abs(tint) or 1)  # turned so that the tint lies to the right
    return np.mean((np.abs(colour.imag) > OTHER_HUE) | (colour.real < -OTHER_HUE))
