"""Scores of a map and of other products on the same labelled ground, and paired intervals of their differences."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.dataset import DESCRIPTION, load
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.products.given import Given
from jointseg_jax.evaluation.products.layer import Layer
from jointseg_jax.evaluation.products.maps import WINDOW, read_classes, windows
from jointseg_jax.evaluation.products.regions import ALL, Regions
from jointseg_jax.evaluation.spatial.blocks import BLOCK, BlockCounts
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, spacing_of
from jointseg_jax.rasters.metric import check_metric
from jointseg_jax.rasters.raster_files import dataset_lattice, lattice_of
from jointseg_jax.rasters.reader import Handles, read_window


@dataclasses.dataclass(frozen=True)
class Ground:
    """Labelled ground.

    Attributes:
        path: raster of labels: 0, 1, 255 unknown.
        lattice: of it.
        region: of the dataset; None without one.
        split: raster of the dataset's splits, with the code of the one to judge on; None for all ground.
    """

    path: pathlib.Path
    lattice: GeoBox
    region: str | None = None
    split: tuple[pathlib.Path, int] | None = None

    def labels(self, window: Window, handles: Handles) -> np.ndarray:
        """Labels of a window, 255 outside the split."""
        classes = read_classes(self.path, window, handles)
        if self.split is None:
            return classes
        path, code = self.split
        raster = handles.get(str(path))
        factor = round(spacing_of(dataset_lattice(raster)) / spacing_of(self.lattice))
        part = Window(
            window.row // factor, window.col // factor, -(-window.height // factor), -(-window.width // factor)
        )
        inside = read_window(raster, part)[0][..., 0] == code
        inside = inside.repeat(factor, 0).repeat(factor, 1)[: window.height, : window.width]
        return np.where(inside, classes, IGNORE)


def read_grounds(path: str | os.PathLike[str], split: str) -> list[Ground]:
    """Finds labelled ground: the sites of a prepared dataset with ground in a split, or a raster of labels.

    Raises:
        InputError: neither, or the dataset has no ground in the split.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        lattice = lattice_of(path)
        check_metric(lattice, None, str(path), classes=True)
        return [Ground(path, lattice)]
    if not (path / DESCRIPTION).exists():
        raise InputError(
            f"--reference={path} is no prepared dataset ({DESCRIPTION} is missing), and no raster of labels: give one "
            "of them"
        )
    data = load(path)
    return [
        Ground(
            data.root / site.label,
            lattice_of(data.root / site.label),
            site.region,
            (data.root / site.split, CODES[split]),
        )
        for site in data.sites_of(split)
    ]


@dataclasses.dataclass
class _Scores:
    confusion: Confusion = dataclasses.field(default_factory=Confusion)
    blocks: BlockCounts = dataclasses.field(default_factory=BlockCounts)
    built: float = 0.0  # sum of fractions, pixels

    def figures(self, labelled: int) -> dict[str, Any]:
        figures = self.confusion.figures()
        return {
            **figures["isa"], "macro_f1": figures["macro_f1"], "oa": figures["oa"], "kappa": figures["kappa"],
            "area_ratio": self.built / labelled if labelled else None, "intervals": self.blocks.intervals(),
        }  # fmt: skip


class _Group:
    """Scores of all maps on the ground of a region; pixels count that all of them know."""

    def __init__(self, names: Sequence[str], side: int):
        self._scores = {name: _Scores() for name in names}
        self._side = side

    def add(self, labels: np.ndarray, fractions: dict[str, np.ndarray], thresholds: dict[str, float]) -> None:
        for name, fraction in fractions.items():
            known = labels != IGNORE
            scores = self._scores[name]
            classes = np.where(known, fraction >= thresholds[name], IGNORE).astype(np.uint8)
            scores.confusion += Confusion.of(classes, labels)
            scores.blocks += BlockCounts.of(classes, labels, self._side)
            scores.built += float(fraction[known].sum(dtype=np.float64))

    def figures(self, spacing: float) -> dict[str, Any]:
        first, *others = self._scores.values()
        counts = first.confusion
        labelled = counts.true_positive + counts.false_negative
        return {
            "km2": counts.pixels * spacing**2 / 1e6,
            "labelled_km2": labelled * spacing**2 / 1e6,
            "maps": {name: scores.figures(labelled) for name, scores in self._scores.items()},
            "differences": {
                name: first.blocks.difference(other.blocks)
                for name, other in zip(list(self._scores)[1:], others, strict=True)
            },
        }


def judge(maps: Sequence[Given], grounds: Sequence[Ground], regions: Regions | None = None) -> dict[str, Any]:
    """Scores maps on labelled ground: every pixel counts that the label and all maps know.

    Args:
        maps: the first is compared with each of the others.
        grounds: labelled ground, all of one spacing.
        regions: polygons; None for the regions of the dataset, if it has several.

    Returns:
        Region (or `all`) -> {"km2", "labelled_km2", "maps": name -> figures, "differences": name -> the first map minus
        this one, see `BlockCounts.difference`}; regions without common ground are left out.

    Raises:
        InputError: a raster is unreadable, or there is no ground that all know.
    """
    spacing = spacing_of(grounds[0].lattice)
    side = min(WINDOW, max(1, round(BLOCK / spacing)))
    names = [m.name for m in maps]
    thresholds = {m.name: m.threshold for m in maps}
    groups: dict[str, _Group] = {}
    handles = Handles(limit=16)
    try:
        layers = [Layer(given, handles) for given in maps]
        for ground in grounds:
            for masked, fractions in _windows(ground, layers, regions, handles):
                for name, labels in masked.items():
                    if (labels == IGNORE).all():
                        continue
                    groups.setdefault(name, _Group(names, side)).add(labels, fractions, thresholds)
    finally:
        handles.close()
    if not groups:
        raise InputError(
            f"no pixel of {grounds[0].path} is known to the label and to all of {', '.join(names)}: give maps of this "
            "ground"
        )
    known = [name for name in groups if name != ALL]
    kept = {name: group for name, group in groups.items() if name == ALL or regions is not None or len(known) > 1}
    return {name: group.figures(spacing) for name, group in kept.items()}


def _windows(
    ground: Ground, layers: Sequence[Layer], regions: Regions | None, handles: Handles
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Windows with common ground: labels of all of it and of each region, and the fraction of every map."""
    near = regions.on(ground.lattice) if regions else None
    for window in windows(ground.lattice):
        labels = ground.labels(window, handles)
        fractions = {}
        for layer in layers:
            if (labels == IGNORE).all():
                break
            fractions[layer.given.name] = layer.look(ground.lattice, window).fraction
            labels = np.where(np.isnan(fractions[layer.given.name]), IGNORE, labels)
        if (labels == IGNORE).all():
            continue
        masked = {ALL: labels}
        if near is not None:
            masked |= {name: np.where(mask, labels, IGNORE) for name, mask in near.masks(window)}
        elif ground.region:
            masked[ground.region] = labels
        yield masked, fractions
