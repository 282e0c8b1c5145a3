"""Scores whole sites with the mapping predictor; each pixel of a split's ground counts once."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.baseline import Regression
from jointseg_jax.evaluation.confidence_quality import Ranking, margin_levels
from jointseg_jax.evaluation.confusion import Confusion, Reliability
from jointseg_jax.evaluation.consistency import MeanSupport
from jointseg_jax.evaluation.perceptual import Lpips
from jointseg_jax.evaluation.site_images import ImageCounts, Strips
from jointseg_jax.evaluation.spatial.fraction import Fractions
from jointseg_jax.evaluation.spatial.scores import SpatialScores
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.evaluation.uncertainty import UncertaintyCounts, similarity
from jointseg_jax.mapping.predictor.applicability import Applicability
from jointseg_jax.mapping.predictor.confidence import levels
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.mapping.product.rasters import classes_of
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Contract, differences
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window


@dataclasses.dataclass(frozen=True)
class ScoreCounts(Sums):
    """All counts of an evaluation; they add up over sites.

    Attributes:
        confusion: of the map.
        oracle: of the reference itself, averaged to 10 m and repeated: the upper bound of any 10 m product.
        spatial: of the whole map: fractions, boundaries, objects, resolution.
        regression: of the fraction by the baseline; no cells without one.
        reliability: of the probability.
        images: of the stages' images.
        support: of the 1 m image; empty without an SR branch.
        confidence: its ranking of right and wrong pixels; empty without augmentation.
        margin: the same for the distance of the probability from the threshold.
        uncertainty: what sets and intervals follow from.
        similarity: to the training ground, its ranking of right and wrong pixels; empty if it was not asked for.
    """

    confusion: Confusion = dataclasses.field(default_factory=Confusion)
    oracle: Confusion = dataclasses.field(default_factory=Confusion)
    spatial: SpatialScores = dataclasses.field(default_factory=SpatialScores)
    regression: Fractions = dataclasses.field(default_factory=Fractions)
    reliability: Reliability = dataclasses.field(default_factory=Reliability)
    images: ImageCounts = dataclasses.field(default_factory=ImageCounts)
    support: MeanSupport = dataclasses.field(default_factory=MeanSupport)
    confidence: Ranking = dataclasses.field(default_factory=Ranking)
    margin: Ranking = dataclasses.field(default_factory=Ranking)
    uncertainty: UncertaintyCounts = dataclasses.field(default_factory=UncertaintyCounts)
    similarity: Ranking = dataclasses.field(default_factory=Ranking)

    def figures(self, data_range: float) -> dict[str, Any]:
        """The metrics, as written to metrics.json."""
        spatial = self.spatial.figures()
        spatial["fraction"]["regression_10m"] = self.regression.figures()
        ranked = {"confidence": self.confidence.figures(), "margin": self.margin.figures()}
        return {
            **self.confusion.figures(),
            **(ranked if self.confidence.pixels else {}),
            "f1_best": self.reliability.best_f1(),
            "average_precision": self.reliability.average_precision(),
            "calibration_error": self.reliability.expected_error(),
            **self.images.figures(data_range),
            **({"support": self.support.figure()} if self.support.pixels else {}),
            "brier": self.reliability.brier(),
            "reliability": self.reliability.diagram(),
            **spatial,
            "oracle_10m": self.oracle.figures(),
            "pixels": self.confusion.pixels,
        }


def check_contract(trained: Contract, data: Dataset, dates: int | None = None) -> None:
    """Raises `InputError` if a dataset, or its first dates, does not fit a network trained under `trained`."""
    wanted = {m.name for m in trained.modalities}
    own = data.contract.replace(modalities=tuple(m for m in data.contract.modalities if m.name in wanted))
    found = differences(trained, own.first_dates(dates))
    if found:
        raise InputError(
            f"{data.root} does not fit the network ({found[0]}): prepare a dataset with the same modalities and units"
        )


def data_range(contract: Contract) -> float:
    """The data range of PSNR and SSIM: the width of `signal`."""
    low, high = signal(contract)
    return high - low


def signal(contract: Contract) -> tuple[float, float]:
    """What PSNR, SSIM and LPIPS take for black and white.

    That is 0 and 1 for a display stretch, otherwise the lowest and the highest training value of the image bands.
    """
    primary = contract.primary
    if primary.units == "display" or primary.statistics is None:
        return 0.0, 1.0
    index = list(contract.image_index)
    return float(min(primary.statistics.low[i] for i in index)), float(max(primary.statistics.high[i] for i in index))


def evaluate_site(
    predictor: Predictor,
    data: Dataset,
    site: Site,
    split: str,
    on_tile: Callable[[Tile], None] | None = None,
    dates: int | None = None,
    regression: Regression | None = None,
    uncertainty: bool = False,
    applicability: Applicability | None = None,
    lpips: Lpips | None = None,
) -> ScoreCounts:
    """Maps a site and counts its pixels on the ground of `split`.

    Args:
        predictor: of the network.
        data: the dataset.
        site: one of its sites.
        split: the split to count.
        on_tile: called for every tile.
        dates: use only so many, the first ones; None for all.
        regression: the baseline of fractions; None to leave it out.
        uncertainty: count what sets and intervals follow from.
        applicability: the area of applicability; None to leave it out.
        lpips: judges the likeness of the 1 m image; None to leave it out.
    """
    contract = predictor.trained.meta.contract
    scene = data.scene(site.name, contract).first_dates(dates)
    threshold = predictor.trained.meta.calibration.threshold
    handles = Handles()
    total = ScoreCounts()
    strips = Strips(scene, data_range(contract), handles, predictor.trained.model.sensor, lpips)
    whole = _Whole(*(FINE_FACTOR * side for side in scene.shape))
    tiles = predictor.run(scene)
    try:
        for tile in tiles:
            ground, label = _truth(data, site, split, tile, handles)
            mapped = classes_of(tile, threshold)
            total += ScoreCounts(
                Confusion.of(mapped, label),
                Confusion.of(_oracle(label), label),
                reliability=Reliability.of(tile.probability, label, tile.fine_valid),
            )
            whole.put(tile.window.scale(FINE_FACTOR), mapped, tile.probability, label)
            if tile.spread is not None:
                margin = Ranking.of(margin_levels(tile.probability, threshold), mapped, label)
                total += ScoreCounts(confidence=Ranking.of(levels(tile.spread), mapped, label), margin=margin)
            if uncertainty:
                total += ScoreCounts(uncertainty=UncertaintyCounts.of_pixels(tile.probability, label))
            if applicability is not None:
                score = repeat_pixels(similarity(applicability.levels(scene, tile.window)), FINE_FACTOR)
                total += ScoreCounts(similarity=Ranking.of(score, mapped, label))
            if tile.support is not None:
                total += ScoreCounts(support=MeanSupport.of(tile.support, label))
            if tile.images:
                total += ScoreCounts(images=strips.add(tile, ground))
            if on_tile is not None:
                on_tile(tile)
        spatial = SpatialScores.of(whole.mapped, whole.probability, whole.label)
        total += ScoreCounts(images=strips.flush(), spatial=spatial)
        if uncertainty:
            total += ScoreCounts(uncertainty=UncertaintyCounts.of_cells(whole.probability, whole.label))
        if regression is not None:
            estimate = repeat_pixels(regression.fraction(scene, handles), FINE_FACTOR)
            total += ScoreCounts(regression=Fractions.of(estimate, whole.label == 1, whole.known))
        return total
    finally:
        tiles.close()
        handles.close()


def _truth(data: Dataset, site: Site, split: str, tile: Tile, handles: Handles) -> tuple[np.ndarray, np.ndarray]:
    """Where a tile's ground is of the split, bool [h, w], and its label there where it is mapped, uint8 [10h, 10w]."""
    ground = read_window(handles.get(str(data.root / site.split)), tile.window)[0][..., 0] == CODES[split]
    label = read_window(handles.get(str(data.root / site.label)), tile.window.scale(FINE_FACTOR))[0][..., 0]
    judged = repeat_pixels(ground, FINE_FACTOR) & tile.fine_valid
    return ground, np.where(judged, label, IGNORE).astype(np.uint8)


class _Whole:
    """The map of a whole site and its label, for scores that tiles would cut: five bytes per pixel."""

    def __init__(self, height: int, width: int):
        self.mapped = np.full((height, width), IGNORE, np.uint8)
        self.label = np.full((height, width), IGNORE, np.uint8)
        self.probability = np.zeros((height, width), np.float16)

    def put(self, window: Window, mapped: np.ndarray, probability: np.ndarray, label: np.ndarray) -> None:
        place = window.slices()
        self.mapped[place], self.probability[place], self.label[place] = mapped, probability, label

    @property
    def known(self) -> np.ndarray:
        return (self.mapped != IGNORE) & (self.label != IGNORE)


def _oracle(label: np.ndarray) -> np.ndarray:
    """The label as a perfect 10 m product would show it: the majority of the known pixels of each 10 m pixel."""
    height, width = label.shape[0] // FINE_FACTOR, label.shape[1] // FINE_FACTOR
    cells = label.reshape(height, FINE_FACTOR, width, FINE_FACTOR)
    known, positive = (cells != IGNORE).sum((1, 3)), (cells == 1).sum((1, 3))
    coarse = np.where(known > 0, 2 * positive >= np.maximum(known, 1), IGNORE).astype(np.uint8)
    return repeat_pixels(coarse, FINE_FACTOR)


def sites_by_region(sites: list[Site]) -> Iterator[tuple[str, list[Site]]]:
    """Groups sites by region, in order of first appearance."""
    for region in dict.fromkeys(s.region for s in sites):
        yield region, [s for s in sites if s.region == region]
