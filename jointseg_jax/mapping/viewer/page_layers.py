"""The layers of the page: their rasters, the bands used as colours, the painting of values, and their legends."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.layer_style import Style, style_of
from jointseg_jax.mapping.product.tile_record import LAYERS
from jointseg_jax.mapping.records.zone_mosaics import mosaic_path
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.decimated import read_small
from jointseg_jax.rasters.pictures.drawing import stretch, stretch_limits
from jointseg_jax.rasters.pictures.pyramid import Paint
from jointseg_jax.rasters.radiometry.find_bands import match_bands
from jointseg_jax.rasters.reader import open_raster

_COLOURS = Modality("picture", ("B04", "B03", "B02"), 10.0, "uint16", "reflectance")
_ORDER = [name for name in LAYERS if name != "scene"]  # which scene: its numbers mean something in one tile only
Source = tuple[pathlib.Path, tuple[int, ...]]


MAP = "impervious"  # the layer without which there is no page


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of the page.

    Attributes:
        id: names its folder; a lower-case word.
        title: for people.
        sources: rasters with their one-based bands.
        paint: converts stored numbers to RGBA.
        style: of its numbers; None for a picture.
    """

    id: str
    title: str
    sources: list[Source]
    paint: Paint
    style: Style | None = None

    def about(self) -> dict[str, Any]:
        """What the page's script needs: legend, and how to write the number under the cursor."""
        style = self.style
        if style is None:
            return {"id": self.id, "title": self.title}
        low, high = (style.stops or ((0, (0, 0, 0)),))[0][0], (style.stops or ((1, (0, 0, 0)),))[-1][0]
        ramp = [[(value - low) / (high - low), _hex(colour)] for value, colour in style.stops]
        return {
            "id": self.id,
            "title": self.title,
            "swatches": [[_hex(colour), text] for _, colour, text in style.classes],
            "ramp": ramp,
            "ends": list(style.ends),
            "names": {str(value): text for value, _, text in style.classes},
            "divide": style.divide,
            "bands": list(style.bands),
            "above": style.above,
        }


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour)


def layers_of(
    product: pathlib.Path,
    zones: Sequence[int],
    label: Label,
    inputs: Sequence[pathlib.Path],
    bands: tuple[int, int, int] | None,
    say: Callable[[str], None],
) -> list[Layer]:
    """Lists every available layer.

    Args:
        product: folder.
        zones: EPSG codes of its tiles.
        label: the mapped label.
        inputs: rasters that the product was made from.
        bands: red, green and blue in them, one-based; None to find them by name.
        say: receives the choice of bands.

    Raises:
        InputError: the map is missing, or a raster lacks the bands.
    """
    found = []
    if inputs:
        sources = [(path, bands or by_name(path, say)) for path in inputs]
        found.append(Layer("input", "input, 10 m", sources, _stretched(sources)))
    for name in _ORDER:
        paths = [p for p in (mosaic_path(product, name, epsg) for epsg in zones) if p.is_file()]
        style = style_of(name, label)
        if paths and style is not None:
            sources = [(p, tuple(range(1, 1 + len(style.bands)))) for p in paths]
            found.append(Layer(name, label.of_layer(name), sources, _painted(style), style))
        elif paths:
            sources = [(p, by_name(p, lambda _: None)) for p in paths]
            found.append(Layer(name, label.of_layer(name), sources, _stretched(sources)))
        elif name == MAP:
            raise InputError(
                f"{mosaic_path(product, name, zones[0])} is missing: run jointseg predict again, which writes it"
            )
    return found


def by_name(path: pathlib.Path, say: Callable[[str], None]) -> tuple[int, ...]:
    """Red, green and blue by the names of a raster's bands; the first three bands if they have no names."""
    with open_raster(path) as raster:
        found = match_bands(raster, _COLOURS)
        names, count = list(raster.descriptions), raster.count
    if found is None:
        if count < 3:
            raise InputError(f"{path} has {count} bands, but three are needed for colours: remove it from --input")
        say(f"bands   {path} has no band names: the first three are shown as red, green, blue (see --bands)")
        return 1, 2, 3
    for colour, matches in zip(("red", "green", "blue"), found, strict=True):
        if len(matches) != 1:
            raise InputError(
                f"{path} has {'more than one' if matches else 'no'} {colour} band among {names}: give the numbers of "
                "the red, green and blue bands with --bands"
            )
    return tuple(matches[0] for matches in found)


def _painted(style: Style) -> Paint:
    """Colours the first band by the table of a style."""
    table = style.table()

    def paint(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.where(valid[..., None], table[values[..., 0]], np.uint8(0))

    return paint


def _stretched(sources: Sequence[Source]) -> Paint:
    """Uses one stretch for all rasters of a layer, so that no border shows between them."""
    pixels = []
    for path, bands in sources:
        with open_raster(path) as raster:
            if max(bands) > raster.count:
                raise InputError(
                    f"{path} has {raster.count} bands, but --bands names band {max(bands)}: choose smaller numbers"
                )
        values, valid = read_small(path, bands=bands)
        pixels.append(values[valid & np.isfinite(values).all(-1)].astype(np.float64))
    together = np.concatenate(pixels)
    if not len(together):
        raise InputError(f"{', '.join(str(path) for path, _ in sources)} contain no valid pixel to show")
    limits = stretch_limits(together[None])

    def paint(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        seen = valid & np.isfinite(values).all(-1)
        rgb = stretch(np.where(seen[..., None], values, 0).astype(np.float64), limits)
        return np.dstack([rgb, np.where(seen, 255, 0).astype(np.uint8)])

    return paint
