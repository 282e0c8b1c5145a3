"""The rasters of a monitor: layout, colours, and the values that each stores."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.change.decoding import Decoded
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.pictures.drawing import PERVIOUS_COLOUR
from jointseg_jax.rasters.writer import Layout

CONFIDENCE_STEPS = 200  # the monitor stores round(200 c)
COUNT_STEPS, COUNT_NODATA = 1000, 65535  # and round(1000 n)
_COLOURS = "plasma"  # matplotlib's, from the first to the last change


@dataclasses.dataclass(frozen=True)
class Layer:
    """One raster.

    Attributes:
        layout: of the file.
        overviews: their resampling.
        stored: the values of a decoded window, [h, w] or [h, w, bands].
    """

    layout: Layout
    overviews: str
    stored: Callable[[Decoded], np.ndarray]


def colours_of(dates: int) -> dict[int, tuple[int, int, int, int]]:
    """The colours of `year_of_change`: never, each date after the first, nodata transparent."""
    scale = matplotlib.colormaps[_COLOURS]
    steps = np.linspace(0.0, 0.9, max(dates - 1, 1))
    table = {0: (*PERVIOUS_COLOUR, 255), IGNORE: (0, 0, 0, 0)}
    for k, step in enumerate(steps, start=1):
        red, green, blue = (round(255 * v) for v in scale(float(step))[:3])
        table[k] = (red, green, blue, 255)
    return table


def words_of(labels: Sequence[str]) -> dict[int, str]:
    """The meaning of every value of `year_of_change`."""
    changes = {k: f"changed between {a} and {b}" for k, (a, b) in enumerate(itertools.pairwise(labels), 1)}
    return {0: "never", **changes}


def layers_of(lattice: GeoBox, labels: Sequence[str], tags: Mapping[str, str]) -> dict[str, Layer]:
    """Describes the rasters, by name.

    Args:
        lattice: 1 m.
        labels: of the dates.
        tags: that all rasters share.
    """
    tags = {**tags, "DATES": ", ".join(labels)}
    meaning = "; ".join(f"{value} {text}" for value, text in words_of(labels).items())
    year = Layout(
        lattice, "uint8", ("year_of_change",), IGNORE, {**tags, "CLASSES": meaning}, colormap=colours_of(len(labels))
    )
    states = Layout(lattice, "uint8", tuple(labels), IGNORE, {**tags, "CLASSES": "0 pervious; 1 impervious"})
    sure = {**tags, "CONFIDENCE": f"value / {CONFIDENCE_STEPS}: probability that there was a change if year_of_change "
            "shows one, and that there was none if it does not"}  # fmt: skip
    confidence = Layout(lattice, "uint8", ("change_confidence",), IGNORE, sure, scale=1 / CONFIDENCE_STEPS)
    counted = {**tags, "COUNT": f"value / {COUNT_STEPS}: expected number of changes"}
    count = Layout(lattice, "uint16", ("change_count",), COUNT_NODATA, counted, scale=1 / COUNT_STEPS)
    return {
        "year_of_change": Layer(year, "mode", lambda found: found.year_index),
        "states": Layer(states, "mode", lambda found: np.moveaxis(found.states, 0, -1)),
        "change_confidence": Layer(
            confidence, "average", lambda found: _scaled(found.confidence, CONFIDENCE_STEPS, IGNORE).astype(np.uint8)
        ),
        "change_count": Layer(
            count, "average", lambda found: _scaled(found.expected_count, COUNT_STEPS, COUNT_NODATA).astype(np.uint16)
        ),
    }


def _scaled(values: np.ndarray, steps: int, nodata: int) -> np.ndarray:
    known = np.isfinite(values)
    return np.where(known, np.minimum(np.round(np.where(known, values, 0) * steps), nodata - 1), nodata)
