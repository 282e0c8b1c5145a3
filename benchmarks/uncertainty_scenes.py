"""Measures what calibrated sets and intervals hold on a scene that nobody trained or calibrated on.

    python benchmarks/uncertainty_scenes.py --dataset=datasets/dubai-scene4

Every scene is left out in turn. The map is that of a quick regression at 10 m (pixel, surroundings, 80 random cosines),
fitted in seconds, so that all scenes can be left out; a network errs less, but meets the same differences between
scenes. It is calibrated on blocks of the scenes that it was fitted on, or on whole scenes by regressions that were
fitted without them; with quantiles of all calibration ground together, or with the widest of the scenes. Prints
coverage per class, the share of sets of both classes, coverage and width of the intervals, and the figures as JSON.
"""

import argparse
import itertools
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.data.dataset import Dataset, load
from jointseg_jax.evaluation.confidence_quality import Ranking
from jointseg_jax.evaluation.uncertainty import UncertaintyCounts, calibrate_intervals, calibrate_sets
from jointseg_jax.mapping.predictor.applicability import Applicability, standardised
from jointseg_jax.mapping.predictor.uncertainty import Uncertainty
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

ALPHA = 0.1
MOST = 180  # input pixels on the side of a scene, from its corner
_BLOCK = 48  # input pixels: the calibration blocks
_SHARE = 0.15  # of the blocks calibrate
_COSINES = 80
_NO_AREA = Applicability(bytes(4), (1.0,), 1.0, 1.0)


class Scene(NamedTuple):
    """A scene: features [h, w, f], label at 1 m [10h, 10w], and where its calibration blocks are, bool [h, w]."""

    features: np.ndarray
    label: np.ndarray
    blocks: np.ndarray


class Normal(NamedTuple):
    """The normal equations of a part of a scene."""

    gram: np.ndarray
    moment: np.ndarray


def read(data: Dataset, name: str, rng: np.random.Generator) -> Scene:
    """Reads a scene of a dataset and chooses its calibration blocks."""
    site, handles = data.sites[name], Handles()
    window = Window(0, 0, min(site.height, MOST), min(site.width, MOST))
    try:
        raw = data.scene(name, data.contract).read(window, handles)
        label = read_window(handles.get(str(data.root / site.label)), window.scale(FINE_FACTOR))[0][..., 0]
    finally:
        handles.close()
    values = np.concatenate([standardised(m, raw[m.name])[0] for m in data.contract.modalities], -1)
    parts = [values]
    for side in (5, 17):
        mean = ndimage.uniform_filter(values, (side, side, 0))
        square = ndimage.uniform_filter(np.square(values), (side, side, 0))
        parts += [mean, np.sqrt(np.maximum(square - np.square(mean), 0))]
    plain = np.concatenate(parts, -1)
    frequencies, phases = cosines(plain.shape[-1])
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    height, width = values.shape[:2]
    around = [padded[r : r + height, c : c + width] for r, c in itertools.product(range(3), range(3))]
    ones = np.ones((height, width, 1))
    features = np.concatenate([ones, *around, plain, np.cos(plain @ frequencies + phases)], -1)
    row, col = np.indices((height, width)) // _BLOCK
    block = row * (width // _BLOCK + 1) + col
    chosen = rng.choice(np.unique(block), max(1, round(_SHARE * len(np.unique(block)))), replace=False)
    return Scene(features, label, np.isin(block, chosen))


def cosines(features: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and phases of the random cosines."""
    rng = np.random.default_rng(0)
    return 0.35 * rng.standard_normal((features, _COSINES)), rng.uniform(0, 2 * np.pi, _COSINES)


def normal(scene: Scene, where: np.ndarray) -> Normal:
    """The normal equations of the fraction on the features, over the cells of `where` that are half labelled."""
    height, width = where.shape
    cells = scene.label.reshape(height, FINE_FACTOR, width, FINE_FACTOR)
    known = (cells != IGNORE).sum((1, 3))
    used = where & (2 * known >= FINE_FACTOR**2)
    features, fraction = scene.features[used], ((cells == 1).sum((1, 3)) / np.maximum(known, 1))[used]
    return Normal(features.T @ features, features.T @ fraction)


def fit(parts: Sequence[Normal]) -> np.ndarray:
    """The coefficients of a ridge regression on several parts."""
    gram, moment = np.sum([p.gram for p in parts], axis=0), np.sum([p.moment for p in parts], axis=0)
    return np.linalg.solve(gram + 1e-5 * np.trace(gram) / len(gram) * np.eye(len(gram)), moment)


def counts(coefficients: np.ndarray, scene: Scene, where: np.ndarray | None = None) -> UncertaintyCounts:
    """What the calibration counts, of a scene or a part of it; the fraction is interpolated to 1 m."""
    fraction = np.clip(scene.features @ coefficients, 0, 1)
    fine = np.clip(ndimage.zoom(fraction, FINE_FACTOR, order=1, grid_mode=True, mode="nearest"), 0, 1)
    label = scene.label
    if where is not None:
        label = np.where(where.repeat(FINE_FACTOR, 0).repeat(FINE_FACTOR, 1), label, IGNORE)
    return UncertaintyCounts.of_pixels(fine, label) + UncertaintyCounts.of_cells(fine.astype(np.float32), label)


def held(sites: Sequence[UncertaintyCounts], new: UncertaintyCounts) -> list[float]:
    """Coverage of both classes, share of sets of both, then coverage and width of the intervals of each side."""
    highest, lowest = calibrate_sets(sites, ALPHA)
    intervals = calibrate_intervals(sites, ALPHA)
    record = Uncertainty(0, "", 1.0, 0.5, "float32", False, ALPHA, highest, lowest, intervals, _NO_AREA, "")
    found = new.worth(record, Ranking())
    values = [*found.coverage, found.both, *(v for c in found.intervals.values() for v in (c.coverage, c.width))]
    return [float(v) if v is not None else float("nan") for v in values]


def measure(data: Dataset) -> dict[str, dict[str, list[float]]]:
    """The figures of `held` by kind of calibration and scene left out."""
    rng = np.random.default_rng(1)
    scenes = {name: read(data, name, rng) for name in data.sites}
    fitted = {n: (normal(s, ~s.blocks), normal(s, s.blocks)) for n, s in scenes.items()}
    without = {
        frozenset(pair): fit([part for n in scenes if n not in pair for part in fitted[n]])
        for pair in itertools.combinations(scenes, 2)
    }
    found: dict[str, dict[str, list[float]]] = {}
    for out in scenes:
        rest = [name for name in scenes if name != out]
        on_part = fit([fitted[name][0] for name in rest])
        whole = fit([part for name in rest for part in fitted[name]])
        blocks = [counts(on_part, scenes[name], scenes[name].blocks) for name in rest]
        others = [counts(without[frozenset((name, out))], scenes[name]) for name in rest]
        for kind, sites, used in (("blocks", blocks, on_part), ("scenes", others, whole)):
            new = counts(used, scenes[out])
            pooled = [sum(sites, UncertaintyCounts())]
            for rule, given in (("together", pooled), ("widest", sites)):
                found.setdefault(f"{kind}, {rule}", {})[out] = held(given, new)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Arguments(prog="python benchmarks/uncertainty_scenes.py", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=pathlib.Path, required=True, help="prepared dataset of three scenes or more")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter

    def work() -> None:
        found = measure(load(parser.parse_args(arguments).dataset))
        print("| calibrated on | class 0 | class 1 | both | 10 m | width | 30 m | width | 100 m | width |")
        print("| --- " * 10 + "|")
        for kind, by_scene in found.items():
            rows = np.array(list(by_scene.values()))
            holds = (rows >= 1 - ALPHA).sum(0)
            cells = [f"{100 * m:.1f}" + (f" ({h})" if k not in (2, 4, 6, 8) else "")
                     for k, (m, h) in enumerate(zip(rows.mean(0), holds, strict=True))]  # fmt: skip
            print(f"| {kind} | " + " | ".join(cells) + " |")
        print(json.dumps({"scenes": len(rows), "asked": 1 - ALPHA, "held": found}))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
