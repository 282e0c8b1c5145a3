"""Scores whole sites with the mapping predictor; each pixel of a split's ground counts once."""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.baseline import Regression
from jointseg_jax.evaluation.confidence_quality import Ranking, margin_levels
from jointseg_jax.evaluation.confusion import Confusion, Reliability
from jointseg_jax.evaluation.consistency import Consistency, MeanSupport
from jointseg_jax.evaluation.images import STRIP_OVERLAP, ImageScore, area_mean, score_strip
from jointseg_jax.evaluation.spatial.fraction import Fractions
from jointseg_jax.evaluation.spatial.scores import SpatialScores
from jointseg_jax.evaluation.uncertainty import UncertaintyCounts, similarity
from jointseg_jax.mapping.predictor.applicability import Applicability
from jointseg_jax.mapping.predictor.confidence import levels
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.mapping.product.rasters import classes_of
from jointseg_jax.models.progressive import image_resample
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Contract, differences
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.rasters.scene import Scene

_BICUBIC_REACH = 2  # coarse pixels


@dataclasses.dataclass(frozen=True)
class ScoreCounts:
    """All counts of an evaluation; they add up over sites.

    Attributes:
        confusion: of the map.
        oracle: of the reference itself, averaged to 10 m and repeated: the upper bound of any 10 m product.
        spatial: of the whole map: fractions, boundaries, objects, resolution.
        regression: of the fraction by the baseline; no cells without one.
        reliability: of the probability.
        stages: spacing -> scores of that stage's image.
        bicubic: spacing -> scores of the bicubic input at that spacing.
        consistency: of the 1 m image with the input; empty if the network does not know its sensor.
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
    stages: dict[Fraction, ImageScore] = dataclasses.field(default_factory=dict)
    bicubic: dict[Fraction, ImageScore] = dataclasses.field(default_factory=dict)
    consistency: Consistency = dataclasses.field(default_factory=Consistency)
    support: MeanSupport = dataclasses.field(default_factory=MeanSupport)
    confidence: Ranking = dataclasses.field(default_factory=Ranking)
    margin: Ranking = dataclasses.field(default_factory=Ranking)
    uncertainty: UncertaintyCounts = dataclasses.field(default_factory=UncertaintyCounts)
    similarity: Ranking = dataclasses.field(default_factory=Ranking)

    def __add__(self, other: "ScoreCounts") -> "ScoreCounts":
        def merge(a: dict[Fraction, ImageScore], b: dict[Fraction, ImageScore]) -> dict[Fraction, ImageScore]:
            return {k: a.get(k, ImageScore()) + b.get(k, ImageScore()) for k in {**a, **b}}

        return ScoreCounts(
            self.confusion + other.confusion,
            self.oracle + other.oracle,
            self.spatial + other.spatial,
            self.regression + other.regression,
            self.reliability + other.reliability,
            merge(self.stages, other.stages),
            merge(self.bicubic, other.bicubic),
            self.consistency + other.consistency,
            self.support + other.support,
            self.confidence + other.confidence,
            self.margin + other.margin,
            self.uncertainty + other.uncertainty,
            self.similarity + other.similarity,
        )

    def figures(self, data_range: float) -> dict[str, Any]:
        """The metrics, as written to metrics.json."""
        stages = [
            {
                "scale": float(10 / spacing),
                "psnr": score.psnr(data_range),
                "ssim": score.mean_ssim(),
                "detail": score.detail_ratio(),
                "psnr_bicubic": self.bicubic[spacing].psnr(data_range),
                "ssim_bicubic": self.bicubic[spacing].mean_ssim(),
                "detail_bicubic": self.bicubic[spacing].detail_ratio(),
            }
            for spacing, score in self.stages.items()
        ]
        spatial = self.spatial.figures()
        spatial["fraction"]["regression_10m"] = self.regression.figures()
        ranked = {"confidence": self.confidence.figures(), "margin": self.margin.figures()}
        return {
            **self.confusion.figures(),
            **(ranked if self.confidence.pixels else {}),
            "f1_best": self.reliability.best_f1(),
            "average_precision": self.reliability.average_precision(),
            "calibration_error": self.reliability.expected_error(),
            "stages": stages,
            **({"consistency": self.consistency.figures()} if self.consistency.values else {}),
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
    """The data range of PSNR and SSIM.

    It is 1 for a display stretch, otherwise the width of the training values of the image bands.
    """
    primary = contract.primary
    if primary.units == "display" or primary.statistics is None:
        return 1.0
    index = list(contract.image_index)
    return float(max(primary.statistics.high[i] for i in index) - min(primary.statistics.low[i] for i in index))


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
    """
    contract = predictor.trained.meta.contract
    scene = data.scene(site.name, contract).first_dates(dates)
    threshold = predictor.trained.meta.calibration.threshold
    handles = Handles()
    total = ScoreCounts()
    strips = _Strips(scene, data_range(contract), handles, predictor.trained.model.sensor)
    whole = _Whole(*(FINE_FACTOR * side for side in scene.shape))
    tiles = predictor.run(scene)
    try:
        for tile in tiles:
            ground = read_window(handles.get(str(data.root / site.split)), tile.window)[0][..., 0] == CODES[split]
            fine_ground = repeat_pixels(ground, FINE_FACTOR)
            label = read_window(handles.get(str(data.root / site.label)), tile.window.scale(FINE_FACTOR))[0][..., 0]
            label = np.where(fine_ground & tile.fine_valid, label, IGNORE).astype(np.uint8)
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
                total += strips.add(tile, ground)
            if on_tile is not None:
                on_tile(tile)
        total += strips.flush() + ScoreCounts(spatial=SpatialScores.of(whole.mapped, whole.probability, whole.label))
        if uncertainty:
            total += ScoreCounts(uncertainty=UncertaintyCounts.of_cells(whole.probability, whole.label))
        if regression is not None:
            estimate = repeat_pixels(regression.fraction(scene, handles), FINE_FACTOR)
            total += ScoreCounts(regression=Fractions.of(estimate, whole.label == 1, whole.known))
        return total
    finally:
        tiles.close()
        handles.close()


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


class _Strips:
    """Joins tiles to strips as wide as the site and scores their images."""

    def __init__(self, scene: Scene, signal_range: float, handles: Handles, sensor: SensorModel | None):
        self._scene, self._range, self._handles, self._sensor = scene, signal_range, handles, sensor
        self._row: list[tuple[Tile, np.ndarray]] = []
        self._tail: dict[tuple[str, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(self, tile: Tile, ground: np.ndarray) -> ScoreCounts:
        """Adds a tile; returns the scores of the strip that it completes."""
        self._row.append((tile, ground))
        done = tile.window.col + tile.window.width == self._scene.shape[1]
        return self.flush() if done else ScoreCounts()

    def flush(self) -> ScoreCounts:
        """Scores the strip collected so far."""
        if not self._row:
            return ScoreCounts()
        row, height = self._row[0][0].window.row, self._row[0][0].window.height
        strip = Window(row, 0, height, self._scene.shape[1])
        assert self._scene.image is not None
        target, target_valid = self._scene.image.read(strip.scale(FINE_FACTOR), self._handles)
        counted = np.concatenate([tile.valid & ground for tile, ground in self._row], axis=1)
        valid = target_valid & repeat_pixels(counted, FINE_FACTOR)
        base = self._base(strip)
        stages, bicubic = {}, {}
        for k in range(len(self._row[0][0].images)):
            image = np.concatenate([tile.images[k] for tile, _ in self._row], axis=1)
            spacing = Fraction(height * FINE_FACTOR, image.shape[0])
            wanted, seen = area_mean(target, valid, spacing)
            stages[spacing] = self._score("sr", k, image, wanted, seen)
            enlarged = np.asarray(image_resample(jnp.asarray(base[None]), 10 / spacing))[0]
            reach = _BICUBIC_REACH * round(10 / spacing)
            bicubic[spacing] = self._score("bicubic", k, enlarged[reach:-reach, reach:-reach], wanted, seen)
        self._row.clear()
        again = Consistency()
        if stages and self._sensor is not None:
            seen = base[_BICUBIC_REACH:-_BICUBIC_REACH, _BICUBIC_REACH:-_BICUBIC_REACH]
            again = Consistency.of(image, seen, counted, self._sensor)
        return ScoreCounts(stages=stages, bicubic=bicubic, consistency=again)

    def _base(self, strip: Window) -> np.ndarray:
        """The base of the network's images: the mean of the image bands over valid dates, float32 [h, w, 3]."""
        primary = self._scene.contract.primary
        read = self._scene.read(strip.pad(_BICUBIC_REACH), self._handles)[primary.name]
        valid = read["valid"][..., None]
        dates = valid.sum(0)
        mean = (read["values"] * valid).sum(0) / np.maximum(dates, 1)
        filled = np.where(dates > 0, mean, primary.normalisation()[0])
        return filled[..., list(self._scene.contract.image_index)].astype(np.float32)

    def _score(self, kind: str, k: int, image: np.ndarray, target: np.ndarray, valid: np.ndarray) -> ImageScore:
        before = self._tail.get((kind, k))
        overlap = 0
        if before is not None:
            overlap = len(before[0])
            image, target, valid = (np.concatenate(pair) for pair in zip(before, (image, target, valid), strict=True))
        self._tail[kind, k] = (image[-STRIP_OVERLAP:], target[-STRIP_OVERLAP:], valid[-STRIP_OVERLAP:])
        return score_strip(image, target, valid, self._range, overlap)


def sites_by_region(sites: list[Site]) -> Iterator[tuple[str, list[Site]]]:
    """Groups sites by region, in order of first appearance."""
    for region in dict.fromkeys(s.region for s in sites):
        yield region, [s for s in sites if s.region == region]
