"""Draws rasters as 8-bit RGB pictures: stretches, map colours, labelled panels, PNG files."""

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.storage.files import atomic_path

IMPERVIOUS_COLOUR = (214, 39, 40)
PERVIOUS_COLOUR = (236, 239, 228)
NODATA_COLOUR = (160, 160, 160)
COLORMAP = {0: (*PERVIOUS_COLOUR, 255), 1: (*IMPERVIOUS_COLOUR, 255), IGNORE: (0, 0, 0, 0)}
_TITLE = 18  # pixels above a panel
_GAP = 4
_SWATCH = 18  # side of a colour in a legend


def stretch_limits(
    values: np.ndarray, valid: np.ndarray | None = None, share: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper percentile per band for `stretch`. values: [h, w, bands]."""
    pixels = values[valid] if valid is not None and valid.any() else values.reshape(-1, values.shape[-1])
    low, high = np.percentile(pixels, (share, 100 - share), axis=0)
    return low, np.maximum(high, low + 1e-6)


def stretch(values: np.ndarray, limits: tuple[np.ndarray, np.ndarray], valid: np.ndarray | None = None) -> np.ndarray:
    """Linear stretch to uint8 RGB [h, w, 3]; invalid pixels grey."""
    low, high = limits
    shown = np.clip((values - low) / (high - low), 0, 1)
    rgb = np.round(255 * shown).astype(np.uint8)
    return rgb if valid is None else np.where(valid[..., None], rgb, np.array(NODATA_COLOUR, np.uint8))


def colour_classes(classes: np.ndarray) -> np.ndarray:
    """Colours classes 0 / 1 / 255 as uint8 RGB [h, w, 3]."""
    table = np.full((256, 3), NODATA_COLOUR, np.uint8)
    table[0], table[1] = PERVIOUS_COLOUR, IMPERVIOUS_COLOUR
    return table[classes]


def colour_probability(probability: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Blends the colours of classes 0 and 1, invalid pixels grey. [h, w] in 0..1 -> uint8 [h, w, 3]."""
    p = np.clip(probability, 0, 1)[..., None]
    rgb = np.round((1 - p) * np.array(PERVIOUS_COLOUR) + p * np.array(IMPERVIOUS_COLOUR)).astype(np.uint8)
    return rgb if valid is None else np.where(valid[..., None], rgb, np.array(NODATA_COLOUR, np.uint8))


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a mask [h, w] to a finer lattice over the same ground, by any factor."""
    rows, cols = np.arange(height) * mask.shape[0] // height, np.arange(width) * mask.shape[1] // width
    return mask[np.ix_(rows, cols)]


def resize_nearest(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest-neighbour resize of a picture [h, w, 3]."""
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.NEAREST))


def shrink(rgb: np.ndarray, longest: int) -> np.ndarray:
    """Shrinks a picture to at most `longest` pixels on a side, area-averaged."""
    height, width = rgb.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1.0:
        return rgb
    return np.asarray(
        Image.fromarray(rgb).resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX)
    )


def panels(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], side: int = 256) -> np.ndarray:
    """Draws a grid of pictures with a title above each column; resizes each to `side` pixels on its longer side.

    Returns:
        uint8 [height, width, 3].
    """
    cells = [_cell(row[0], side) for row in rows]  # height and width; all pictures of a row show the same ground
    widest = max(width for _, width in cells)
    size = (len(titles) * (widest + _GAP) + _GAP, sum(height + _GAP for height, _ in cells) + _TITLE + _GAP)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    for column, title in enumerate(titles):
        left, top = _GAP + column * (widest + _GAP), _TITLE
        draw.text((left, 2), title, fill="black", font=font)
        for row, (height, width) in zip(rows, cells, strict=True):
            smaller = max(row[column].shape[:2]) > side
            method = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
            canvas.paste(Image.fromarray(row[column]).resize((width, height), method), (left, top))
            top += height + _GAP
    return np.asarray(canvas)


def framed(rgb: np.ndarray, head: str, legend: Sequence[tuple[tuple[int, int, int], str]]) -> np.ndarray:
    """Adds a headline above a picture, and below it a legend of colours and meanings; uint8 [height, width, 3]."""
    font = ImageFont.load_default(15)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    wide = [_SWATCH + 3 * _GAP + round(measure.textlength(text, font=font)) + _SWATCH for _, text in legend]
    # A narrow picture has its legend in several lines.
    lines, at = [0], 0
    for number, width in enumerate(wide):
        if at and at + width > max(rgb.shape[1], max(wide)):
            lines.append(number)
            at = 0
        at += width
    height, band = rgb.shape[0], _SWATCH + 2 * _GAP
    width = max(rgb.shape[1], *wide, round(measure.textlength(head, font=font)) + 2 * _GAP)
    canvas = Image.new("RGB", (width, band + height + band * len(lines)), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, _GAP), head, fill="black", font=font)
    canvas.paste(Image.fromarray(rgb), (0, band))
    left, top = _GAP, band + height
    for number, ((colour, text), step) in enumerate(zip(legend, wide, strict=True)):
        if number in lines[1:]:
            left, top = _GAP, top + band
        draw.rectangle((left, top + _GAP, left + _SWATCH, top + _GAP + _SWATCH), fill=colour, outline="black")
        draw.text((left + _SWATCH + 2 * _GAP, top + _GAP), text, fill="black", font=font)
        left += step
    return np.asarray(canvas)


def _cell(rgb: np.ndarray, side: int) -> tuple[int, int]:
    """Height and width of a picture scaled to `side` pixels on its longer side."""
    height, width = rgb.shape[:2]
    return max(1, round(side * height / max(height, width))), max(1, round(side * width / max(height, width)))


def as_jpeg(rgb: np.ndarray, quality: int = 88) -> bytes:
    """A picture [h, w, 3] as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=quality)
    return file.getvalue()


def save_png(path: str | os.PathLike[str], rgb: np.ndarray) -> None:
    """Writes a picture atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(rgb).save(temporary, format="PNG", optimize=True)
