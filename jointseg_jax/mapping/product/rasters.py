"""The rasters of a map: layout, overviews, and the values that each stores of a tile."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax import __version__
from jointseg_jax.mapping.predictor import confidence as confidences
from jointseg_jax.mapping.predictor import uncertainty as uncertainties
from jointseg_jax.mapping.predictor.applicability import AT_THRESHOLD
from jointseg_jax.mapping.predictor.flips import MEMBERS
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Readable, Tile
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Modality
from jointseg_jax.rasters.lattice import refine
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.rasters.writer import Layout
from jointseg_jax.training.trained import Trained

PROBABILITY_STEPS = 200  # the product stores round(200 p), and the support likewise


@dataclasses.dataclass(frozen=True)
class Raster:
    """One raster of a product.

    Attributes:
        layout: of the file.
        overviews: their resampling.
        stored: the values of a tile [h, w] or [h, w, bands], before nodata.
        differencing: whether neighbouring values are differenced before compression.
        factor: pixels of the raster on the side of a 10 m pixel.
    """

    layout: Layout
    overviews: str
    stored: Callable[[Tile], np.ndarray]
    differencing: bool = False
    factor: int = FINE_FACTOR

    @property
    def nodata(self) -> float:
        """The value of unknown pixels."""
        return 0 if self.layout.nodata is None else self.layout.nodata

    def values_of(self, tile: Tile, known: np.ndarray) -> np.ndarray:
        """The values to write for a tile: its own where `known` [h, w], nodata elsewhere."""
        stored = self.stored(tile)
        mask = known if stored.ndim == 2 else known[..., None]
        return np.where(mask, stored, self.nodata).astype(self.layout.dtype)


def classes_of(tile: Tile, threshold: float) -> np.ndarray:
    """The class map of a tile: 0, 1, and 255 where the input is invalid. uint8 [10h, 10w]."""
    return np.where(tile.fine_valid, (tile.probability >= threshold).astype(np.uint8), np.uint8(IGNORE))


def product_rasters(
    predictor: Predictor,
    scene: Readable,
    decisions: Mapping[str, str],
    *,
    confidence: bool,
    uncertainty: uncertainties.Uncertainty | None = None,
) -> dict[str, Raster]:
    """Describes the rasters of a product, by name; see `write_product`.

    Args:
        predictor: the network and what it returns.
        scene: to map.
        decisions: how the scene was interpreted; written into the tags.
        confidence: whether to include the confidence.
        uncertainty: the measured record of the sets, intervals and dissimilarity to include; None for none.

    Raises:
        InputError: the quality of the confidence was never measured, or the predictor does not augment.
    """
    trained = predictor.trained
    lattice, tags = refine(scene.lattice, FINE_FACTOR), _tags(predictor, decisions)
    rasters = {"impervious": _classes(trained, lattice, tags)}
    probability_tags = {**tags, "PROBABILITY": f"value / {PROBABILITY_STEPS}"}
    rasters["probability"] = _score(
        "probability", lattice, PROBABILITY_STEPS, probability_tags, lambda tile: tile.probability * PROBABILITY_STEPS
    )
    if predictor.images and trained.model.has_sr:
        rasters["image"] = _image(trained.meta.contract.primary, scene, lattice, tags)
    if predictor.support:
        support_tags = {**tags, "SUPPORT": f"value / {PROBABILITY_STEPS}: 1 measured, 0 prior"}
        rasters["support"] = _score("support", lattice, PROBABILITY_STEPS, support_tags, _support)
    if confidence:
        measured = confidences.tags(confidences.measured_for(predictor))
        rasters["confidence"] = _score("confidence", lattice, confidences.LEVELS, {**tags, **measured}, _confidence)
    if uncertainty is not None:
        rasters |= _uncertain(uncertainty, scene, tags)
    return rasters


def _uncertain(record: uncertainties.Uncertainty, scene: Readable, tags: Mapping[str, Any]) -> dict[str, Raster]:
    """Sets at 1 m, fractions with their intervals and dissimilarity at 10 m."""
    fine, coarse, tags = refine(scene.lattice, FINE_FACTOR), scene.lattice, {**tags, **uncertainties.tags(record)}
    sets = Layout(fine, "uint8", ("set",), IGNORE, {**tags, **uncertainties.set_tags(record)})
    bands, own = ("fraction", "low", "high"), {**tags, **uncertainties.fraction_tags(record)}
    fraction = Layout(coarse, "uint8", bands, IGNORE, own, scale=1 / uncertainties.LEVELS)
    own = {**tags, **uncertainties.dissimilarity_tags(record)}
    dissimilarity = Layout(coarse, "uint8", ("dissimilarity",), IGNORE, own, scale=1 / AT_THRESHOLD)
    area = record.applicability
    return {
        "set": Raster(sets, "mode", lambda tile: record.sets(tile.probability)),
        "fraction": Raster(fraction, "average", lambda tile: record.fractions(tile.probability), factor=1),
        "dissimilarity": Raster(dissimilarity, "average", lambda tile: area.levels(scene, tile.window), factor=1),
    }


def _tags(predictor: Predictor, decisions: Mapping[str, str]) -> dict[str, Any]:
    """The tags that all rasters of a product share."""
    trained = predictor.trained
    return {
        "SOFTWARE": f"jointseg-jax {__version__}",
        "MODEL": f"{trained.name}, step {trained.step}, {trained.weights} weights",
        "LABEL": trained.meta.contract.label,
        "TEMPERATURE": trained.meta.calibration.temperature,
        "THRESHOLD": trained.meta.calibration.threshold,
        "HALO": f"{predictor.halo} input pixels",
        "COMPUTED_IN": predictor.dtype,
        "AUGMENTATION": f"mean of {MEMBERS} flips and quarter turns" if predictor.augment else "none",
        **{k.upper(): v for k, v in decisions.items()},
    }


def _classes(trained: Trained, lattice: GeoBox, tags: Mapping[str, Any]) -> Raster:
    contract, threshold = trained.meta.contract, trained.meta.calibration.threshold
    names = "; ".join(f"{value} {name}" for value, name in enumerate(contract.class_names))
    layout = Layout(lattice, "uint8", (contract.label,), IGNORE, {**tags, "CLASSES": names}, colormap=drawing.COLORMAP)
    return Raster(layout, "mode", lambda tile: classes_of(tile, threshold))


def _score(
    name: str, lattice: GeoBox, steps: int, tags: dict[str, Any], stored: Callable[[Tile], np.ndarray]
) -> Raster:
    """A number from 0 to 1, stored as 0 to `steps`; 255 is nodata."""
    layout = Layout(lattice, "uint8", (name,), IGNORE, tags, scale=1 / steps)
    return Raster(layout, "average", lambda tile: np.round(stored(tile)))


def _confidence(tile: Tile) -> np.ndarray:
    assert tile.spread is not None
    return confidences.levels(tile.spread)


def _support(tile: Tile) -> np.ndarray:
    assert tile.support is not None
    return tile.support * PROBABILITY_STEPS


def _image(primary: Modality, scene: Readable, lattice: GeoBox, tags: Mapping[str, Any]) -> Raster:
    """The super-resolved image, encoded like the input's image bands."""
    bands = scene.contract.image_bands
    units = primary.units if scene.own_units else f"as if {primary.units} of the training data"
    layout = Layout(
        lattice,
        primary.dtype,
        bands,
        primary.nodata,
        {**tags, "UNITS": units},
        scale=primary.scale,
        offset=primary.scale * primary.offset,
        rgb=rgb_order(bands) == (0, 1, 2),
    )
    return Raster(layout, "average", lambda tile: primary.encode(tile.images[-1]), differencing=True)
