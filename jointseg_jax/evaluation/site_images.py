"""The figures of a site's super-resolved images, in strips of tiles as wide as the site."""

import dataclasses
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from jointseg_jax.data.sensor import published_sensor
from jointseg_jax.evaluation.consistency import Consistency
from jointseg_jax.evaluation.correctness import SPACING, Chips, Correctness
from jointseg_jax.evaluation.images import STRIP_OVERLAP, ImageScore, area_mean, score_strip
from jointseg_jax.evaluation.perceptual import Likeness, Lpips, LpipsChips
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.models.progressive import image_resample
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Scene

_BICUBIC_REACH = 2  # coarse pixels


@dataclasses.dataclass(frozen=True)
class ImageCounts(Sums):
    """All counts of the images; they add up over strips and sites.

    Attributes:
        stages: spacing -> scores of that stage's image.
        bicubic: spacing -> scores of the bicubic input at that spacing.
        consistency: of the 1 m image with the input; empty if the network does not know its sensor.
        correctness: of the image at 2.5 m by opensr-test; empty without such a stage.
        correctness_bicubic: the same of the bicubic input.
        lpips: of the image ("") and the bicubic input ("_bicubic") at 1 m; empty if it was not asked for.
    """

    stages: dict[Fraction, ImageScore] = dataclasses.field(default_factory=dict)
    bicubic: dict[Fraction, ImageScore] = dataclasses.field(default_factory=dict)
    consistency: Consistency = dataclasses.field(default_factory=Consistency)
    correctness: Correctness = dataclasses.field(default_factory=Correctness)
    correctness_bicubic: Correctness = dataclasses.field(default_factory=Correctness)
    lpips: dict[str, Likeness] = dataclasses.field(default_factory=dict)

    def figures(self, data_range: float) -> dict[str, Any]:
        """The metrics, as written to metrics.json: per stage, and of the 1 m image."""
        stages = []
        for spacing, score in self.stages.items():
            found: dict[str, Any] = {"scale": float(10 / spacing)}
            for ending, judged in (("", score), ("_bicubic", self.bicubic[spacing])):
                found |= {
                    f"psnr{ending}": judged.psnr(data_range),
                    f"ssim{ending}": judged.mean_ssim(),
                    f"spectral_angle{ending}": judged.spectral_angle(),
                    f"detail{ending}": judged.detail_ratio(),
                }
            if spacing == SPACING:
                found["opensr_test"] = self.correctness.figures()
                found["opensr_test_bicubic"] = self.correctness_bicubic.figures()
            if spacing == 1 and self.lpips:
                found |= {f"lpips{ending}": judged.mean() for ending, judged in self.lpips.items()}
                found["lpips_chips"] = self.lpips[""].chips
            stages.append(found)
        return {
            "stages": stages,
            **({"consistency": self.consistency.figures()} if self.consistency.values else {}),
        }


class Strips:
    """Joins tiles to strips as wide as the site and scores their images."""

    def __init__(
        self,
        scene: Scene,
        signal_range: float,
        handles: Handles,
        sensor: SensorModel | None,
        lpips: Lpips | None = None,
    ):
        self._scene, self._range, self._handles, self._sensor = scene, signal_range, handles, sensor
        bands, primary = scene.contract.image_index, scene.contract.primary
        self._noise = published_sensor(tuple(primary.bands[i] for i in bands), primary.units)
        self._chips = Chips(*scene.shape)
        self._lpips = None if lpips is None else LpipsChips(lpips)
        self._row: list[tuple[Tile, np.ndarray]] = []
        self._tail: dict[tuple[str, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(self, tile: Tile, ground: np.ndarray) -> ImageCounts:
        """Adds a tile; returns the scores of the strip that it completes."""
        self._row.append((tile, ground))
        done = tile.window.col + tile.window.width == self._scene.shape[1]
        return self.flush() if done else ImageCounts()

    def flush(self) -> ImageCounts:
        """Scores the strip collected so far."""
        if not self._row:
            return ImageCounts()
        row, height = self._row[0][0].window.row, self._row[0][0].window.height
        strip = Window(row, 0, height, self._scene.shape[1])
        assert self._scene.image is not None
        target, target_valid = self._scene.image.read(strip.scale(FINE_FACTOR), self._handles)
        counted = np.concatenate([tile.valid & ground for tile, ground in self._row], axis=1)
        valid = target_valid & repeat_pixels(counted, FINE_FACTOR)
        base = self._base(strip)
        coarse = base[_BICUBIC_REACH:-_BICUBIC_REACH, _BICUBIC_REACH:-_BICUBIC_REACH]
        found = ImageCounts()
        for k in range(len(self._row[0][0].images)):
            image = np.concatenate([tile.images[k] for tile, _ in self._row], axis=1)
            spacing = Fraction(height * FINE_FACTOR, image.shape[0])
            wanted, seen = area_mean(target, valid, spacing)
            enlarged = np.asarray(image_resample(jnp.asarray(base[None]), 10 / spacing))[0]
            reach = _BICUBIC_REACH * round(10 / spacing)
            enlarged = enlarged[reach:-reach, reach:-reach]
            found += ImageCounts(
                {spacing: self._score("sr", k, image, wanted, seen)},
                {spacing: self._score("bicubic", k, enlarged, wanted, seen)},
            )
            if spacing == SPACING:
                own, plain = self._chips.add(coarse, wanted, seen, (image, enlarged))
                found += ImageCounts(correctness=own, correctness_bicubic=plain)
            if spacing == 1 and self._lpips is not None:
                own_lpips, plain_lpips = self._lpips.add(wanted, seen, (image, enlarged))
                found += ImageCounts(lpips={"": own_lpips, "_bicubic": plain_lpips})
        self._row.clear()
        if found.stages and self._sensor is not None:
            again = Consistency.of(image, coarse, counted, self._sensor, self._noise)
            found += ImageCounts(consistency=again)
        return found

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
