"""Draws rasters as 8-bit RGB pictures: stretches, map colours, labelled panels, PNG files."""

import io
import math
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.storage.files import atomic_path

IMPERVIOUS_COLOUR = (214, 39, 40)
PERVIOUS_COLOUR = (236, 239, 228)
NODATA_COLOUR = (130, 130, 130)  # differs in lightness from ground and hits, see `contrast`
PRIOR_COLOUR = (94, 60, 153)  # of detail that is not measured
COLORMAP = {0: (*PERVIOUS_COLOUR, 255), 1: (*IMPERVIOUS_COLOUR, 255), IGNORE: (0, 0, 0, 0)}
_GAP = 4
# Letters of 14 pixels where a picture is shown as wide as the text of a README.
_LETTERS, _SHOWN = 14, 880
_BARS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)  # metres


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


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Contrast ratio of two sRGB colours, 1 to 21 (WCAG 2.2; graphics need 3)."""

    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


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


def panels(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    side: int = 256,
    metres: Sequence[float] | None = None,
) -> np.ndarray:
    """Draws a grid of pictures with a title above each column; resizes each to `side` pixels on its longer side.

    Args:
        rows: pictures uint8 [h, w, 3]; all of a row show the same ground.
        titles: of the columns.
        side: pixels.
        metres: per row, what the longer side of its pictures measures on the ground; the first picture of the row
            then has a scale bar.

    Returns:
        uint8 [height, width, 3].
    """
    cells = [_cell(row[0], side) for row in rows]  # height and width
    widest = max(width for _, width in cells)
    width = len(titles) * (widest + _GAP) + _GAP
    font = _font(width)
    heads = [_wrapped(title, font, widest) for title in titles]
    above = max(len(head.splitlines()) for head in heads) * _line(font) + _GAP
    canvas = Image.new("RGB", (width, sum(height + _GAP for height, _ in cells) + above), "white")
    draw = ImageDraw.Draw(canvas)
    for column, head in enumerate(heads):
        left, top = _GAP + column * (widest + _GAP), above
        draw.multiline_text((left, 0), head, fill="black", font=font)
        for row, (height, width) in zip(rows, cells, strict=True):
            smaller = max(row[column].shape[:2]) > side
            method = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
            canvas.paste(Image.fromarray(row[column]).resize((width, height), method), (left, top))
            top += height + _GAP
    if metres is not None:
        top = above
        for (height, width), ground in zip(cells, metres, strict=True):
            _scale_bar(draw, (_GAP, top, width, height), ground / max(height, width), font)
            top += height + _GAP
    return np.asarray(canvas)


def framed(
    rgb: np.ndarray, head: str, legend: Sequence[tuple[tuple[int, int, int], str]], metres: float | None = None
) -> np.ndarray:
    """Adds a headline above a picture, and below it a legend of colours and meanings.

    Args:
        rgb: the picture, uint8 [h, w, 3].
        head: the headline.
        legend: colours and what they mean.
        metres: that a pixel of the picture measures on the ground; it then has a scale bar.

    Returns:
        uint8 [height, width, 3].
    """
    font = _font(rgb.shape[1])
    swatch = _line(font)
    wide = [2 * swatch + 3 * _GAP + round(font.getlength(text)) for _, text in legend]
    width = max(rgb.shape[1], *wide)
    # A narrow picture has its headline and its legend in several lines.
    lines, at = [0], 0
    for number, step in enumerate(wide):
        if at and at + step > width:
            lines.append(number)
            at = 0
        at += step
    head = _wrapped(head, font, width - 2 * _GAP)
    above, band = len(head.splitlines()) * swatch + 2 * _GAP, swatch + 2 * _GAP
    canvas = Image.new("RGB", (width, above + rgb.shape[0] + band * len(lines)), "white")
    draw = ImageDraw.Draw(canvas)
    draw.multiline_text((_GAP, _GAP), head, fill="black", font=font)
    canvas.paste(Image.fromarray(rgb), (0, above))
    if metres is not None:
        _scale_bar(draw, (0, above, rgb.shape[1], rgb.shape[0]), metres, font)
    left, top = _GAP, above + rgb.shape[0]
    for number, ((colour, text), step) in enumerate(zip(legend, wide, strict=True)):
        if number in lines[1:]:
            left, top = _GAP, top + band
        draw.rectangle((left, top + _GAP, left + swatch, top + _GAP + swatch), fill=colour, outline="black")
        draw.text((left + swatch + 2 * _GAP, top + _GAP), text, fill="black", font=font)
        left += step
    return np.asarray(canvas)


def outlined(rgb: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A picture with a frame around a part of it, black in white so that it shows on any ground; uint8 [h, w, 3]."""
    canvas = Image.fromarray(rgb)
    draw = ImageDraw.Draw(canvas)
    stroke = max(1, max(rgb.shape[:2]) // 250)
    for colour, grown in (("white", 2 * stroke), ("black", stroke)):
        box = (left - grown, top - grown, left + width - 1 + grown, top + height - 1 + grown)
        draw.rectangle(box, outline=colour, width=stroke)
    return np.asarray(canvas)


def _font(width: int) -> ImageFont.FreeTypeFont:
    """Letters that can be read when a picture of so many pixels is shown in a README."""
    font = ImageFont.load_default(max(_LETTERS, math.ceil(_LETTERS * width / _SHOWN)))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _line(font: ImageFont.FreeTypeFont) -> int:
    return round(1.3 * font.size)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Breaks a text at its spaces into lines of at most `width` pixels; a longer word keeps its line."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _scale_bar(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], metres: float, font: ImageFont.FreeTypeFont
) -> None:
    """Draws a bar of a round length, at most a third of the width, into the lower left of a box (left, top, w, h)."""
    left, top, width, height = box
    fitting = [length for length in _BARS if length / metres <= width / 3]
    if not fitting:
        return
    length = fitting[-1]
    x, y, thick = left + 2 * _GAP, top + height - 2 * _GAP, max(3, _line(font) // 5)
    draw.rectangle((x, y - thick, x + round(length / metres), y), fill="white", outline="black")
    words = f"{length} m" if length < 1000 else f"{length // 1000} km"
    draw.text((x, y - thick - _line(font)), words, fill="white", font=font, stroke_width=2, stroke_fill="black")


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
        Image.fromarray(rgb).save(temporary, format="PNG")  # `optimize` takes a second to save little
