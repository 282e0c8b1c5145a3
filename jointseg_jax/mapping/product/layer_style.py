"""The colours of a product's layers and what their stored numbers mean, for pages and for QGIS."""

import dataclasses

import numpy as np

from jointseg_jax.mapping.predictor.applicability import AT_THRESHOLD, MOST
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.rasters import PROBABILITY_STEPS
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.pictures.drawing import IMPERVIOUS_COLOUR, PERVIOUS_COLOUR, PRIOR_COLOUR

Colour = tuple[int, int, int]

_EITHER, _NONE = (255, 217, 47), (84, 39, 136)
_DOUBTFUL, _SURE = (255, 247, 188), (0, 90, 50)
_ALIKE, _LIMIT, _UNLIKE = (239, 243, 255), (49, 130, 189), (230, 85, 13)


@dataclasses.dataclass(frozen=True)
class Style:
    """The colours of a layer's first band, whose stored numbers are uint8 with 255 for nodata.

    Attributes:
        classes: stored number, colour and meaning of each class; empty for a continuous layer.
        stops: stored numbers and colours between which the colours are interpolated; empty for classes.
        divide: stored number per unit; 1 for classes.
        ends: words at the ends of the legend of a continuous layer.
        bands: meaning of each band.
        above: of a continuous layer: what a value above 1 means; empty if there are none.
    """

    classes: tuple[tuple[int, Colour, str], ...] = ()
    stops: tuple[tuple[int, Colour], ...] = ()
    divide: int = 1
    ends: tuple[str, str] = ("0", "1")
    bands: tuple[str, ...] = ("",)
    above: str = ""

    def table(self) -> np.ndarray:
        """RGBA of every stored number, uint8 [256, 4]; what has no colour is transparent."""
        table = np.zeros((256, 4), np.uint8)
        for value, colour, _ in self.classes:
            table[value] = (*colour, 255)
        if self.stops:
            at, colours = [value for value, _ in self.stops], np.array([colour for _, colour in self.stops])
            values = np.arange(IGNORE)
            table[:IGNORE, :3] = np.round(np.stack([np.interp(values, at, c) for c in colours.T], -1))
            table[:IGNORE, 3] = 255
        return table


def style_of(layer: str, label: Label) -> Style | None:
    """The style of a layer; None for pictures and for numbers that mean nothing beyond their tile."""
    other, name = label.classes[0], label.classes[1]
    ramp = ((0, PERVIOUS_COLOUR), (PROBABILITY_STEPS, IMPERVIOUS_COLOUR))
    styles = {
        "impervious": Style(classes=((1, IMPERVIOUS_COLOUR, name), (0, PERVIOUS_COLOUR, other))),
        "probability": Style(stops=ramp, divide=PROBABILITY_STEPS),
        "fraction": Style(stops=ramp, divide=PROBABILITY_STEPS, bands=("fraction", "lowest", "highest")),
        "confidence": Style(
            stops=((0, _DOUBTFUL), (PROBABILITY_STEPS, _SURE)),
            divide=PROBABILITY_STEPS,
            ends=("0: the views disagree", "1: they agree"),
        ),
        "support": Style(
            stops=((0, PRIOR_COLOUR), (PROBABILITY_STEPS, (255, 255, 255))),
            divide=PROBABILITY_STEPS,
            ends=("0: prior", "1: measured"),
        ),
        "set": Style(
            classes=(
                (2, IMPERVIOUS_COLOUR, f"only {name}"), (1, PERVIOUS_COLOUR, f"only {other}"),
                (3, _EITHER, "either may be true"), (0, _NONE, "neither is likely"),
            )
        ),
        "dissimilarity": Style(
            stops=((0, _ALIKE), (AT_THRESHOLD, _LIMIT), (AT_THRESHOLD + 1, _UNLIKE), (MOST, _UNLIKE)),
            divide=AT_THRESHOLD,
            ends=("0: as in training", "2"),
            above="outside the area of applicability",
        ),
    }  # fmt: skip
    return styles.get(layer)
