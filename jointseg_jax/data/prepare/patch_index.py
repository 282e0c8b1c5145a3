"""The patch index of a dataset."""

import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jointseg_jax.data.dataset import INDEX_COLUMNS, TRUSTED, Site, day_columns
from jointseg_jax.data.prepare import ground, site_dates, splits
from jointseg_jax.data.prepare.recipe import strips
from jointseg_jax.data.prepare.site_work import SitePlan
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, open_raster, read_window
from jointseg_jax.rasters.scene import ImageLayer


def patch_index(root: pathlib.Path, sites: Sequence[Site], config: Any) -> pd.DataFrame:
    """Lists the patches, one per row: square windows on the ground of one split with enough labelled pixels.

    The columns are `dataset.INDEX_COLUMNS`, `dataset.day_columns` of the label and every modality, and
    `dataset.TRUSTED`.
    At a site without any label, for super-resolution alone, valid pixels of the image count instead. Training patches
    start every `config.stride` pixels; those of the other splits lie side by side.

    Raises:
        InputError: a split with ground has no patch with enough labelled pixels.
    """
    rows, trusted = [], []
    best: dict[str, float] = {}  # split -> the largest usable share of a patch
    for site in sites:
        with open_raster(root / site.split) as raster:
            codes = read_window(raster, Window(0, 0, site.height, site.width))[0][..., 0]
        known, impervious = label_shares(root / site.label, site.height, site.width)
        labelled = bool(known[-1, -1])
        usable = known if labelled else image_shares(root / site.image, site)
        gaps = None if site.gaps is None else _integral(site.gaps.share(site.height, site.width))
        for split in splits.SPLITS:
            for window in _fitting(codes, split, config.patch, _stride(config, split)):
                valid = _sum(usable, window) / config.patch**2
                best[split] = max(valid, best.get(split, 0.0))
                if valid < config.min_valid or valid == 0:
                    continue
                share = _sum(impervious, window) / config.patch**2 / valid
                labels = valid if labelled else 0.0
                trusted.append(np.nan if gaps is None else 1 - _sum(gaps, window) / config.patch**2)
                rows.append((site.name, site.region, split, site.date, site.crs, *window, share, labels))
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    for name in (*config.inputs, site_dates.LABEL):
        nearest = {s.name: site_dates.nearest(s.days.get(name, ())) for s in sites}
        span = {s.name: site_dates.span(s.dates.get(name, ())) for s in sites}
        for column, found in zip(day_columns(name), (nearest, span), strict=True):
            index[column] = pd.array([found[site] for site in index["site"]], dtype="Int64")
    index[TRUSTED] = pd.array(trusted, dtype="Float64").round(6)
    for split in splits.SPLITS:
        if any(s.pixels[split] for s in sites) and not (index["split"] == split).any():
            raise InputError(
                f"no patch of split {split!r} is labelled on dataset.min_valid={config.min_valid:g} of its ground, the "
                f"best on {best.get(split, 0.0):.3f}: lower dataset.min_valid, or add labels or sites"
            )
    return index


def check_room(plans: Mapping[str, SitePlan], config: Any) -> None:
    """Raises `InputError` if no patch fits into the ground of a split, whatever is labelled there.

    Args:
        plans: of all sites, with their ground.
        config: `config.dataset`.
    """
    every = [ground.codes(plan.ground, plan.lattice) for plan in plans.values()]
    shown = [split for split in splits.SPLITS if any((codes == splits.CODES[split]).any() for codes in every)]
    lacking = [split for split in shown if not _has_room(every, split, config.patch, _stride(config, split))]
    if not lacking:
        return
    fits = config.patch
    for split in lacking:
        while fits and not _has_room(every, split, fits, config.stride if split == "train" else fits):
            fits -= 1
    # Ground narrower than the stride may hold no start: then no patch fits.
    advice = [f"lower dataset.patch to {fits}, or "] * (fits > 0)
    if lacking == ["train"]:
        finer = (n for n in range(config.stride - 1, 0, -1) if _has_room(every, "train", config.patch, n))
        advice += [f"lower dataset.stride to {n}, or " for n in itertools.islice(finer, 1)]
    raise InputError(
        f"no patch of {config.patch} pixels fits into the ground of split {' or '.join(lacking)}, where patches start "
        f"every {_stride(config, lacking[0])} pixels from a site's corner: {''.join(advice)}give larger sites"
    )


def _has_room(every: Sequence[np.ndarray], split: str, patch: int, stride: int) -> bool:
    """Whether a patch fits into the ground of a split at one of the sites."""
    return any(True for codes in every for _ in _fitting(codes, split, patch, stride))


def _stride(config: Any, split: str) -> int:
    return int(config.stride if split == "train" else config.patch)


def _fitting(codes: np.ndarray, split: str, patch: int, stride: int) -> Iterator[Window]:
    """The squares of a grid that lie wholly on the ground of a split."""
    own = _integral((codes == splits.CODES[split]).astype(np.float64))
    for row in range(0, codes.shape[0] - patch + 1, stride):
        for col in range(0, codes.shape[1] - patch + 1, stride):
            window = Window(row, col, patch, patch)
            if _sum(own, window) > patch**2 - 0.5:
                yield window


def label_shares(path: pathlib.Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Integral images [height + 1, width + 1] of the labelled and the impervious share of each 10 m pixel."""
    known, impervious = np.zeros((height, width)), np.zeros((height, width))
    with open_raster(path) as raster:
        for window in strips(height, width):
            label = read_window(raster, window.scale(FINE_FACTOR))[0][..., 0]
            known[window.slices()] = block_mean(label != IGNORE, FINE_FACTOR)
            impervious[window.slices()] = block_mean(label == 1, FINE_FACTOR)
    return _integral(known), _integral(impervious)


def image_shares(path: pathlib.Path, site: Site) -> np.ndarray:
    """Integral image [height + 1, width + 1] of the share of each 10 m pixel that the image covers."""
    image = ImageLayer(str(path), site.image_gain, site.image_offset, site.image_nodata)
    valid, handles = np.zeros((site.height, site.width)), Handles()
    for window in strips(site.height, site.width):
        valid[window.slices()] = block_mean(image.read(window.scale(FINE_FACTOR), handles)[1], FINE_FACTOR)
    handles.close()
    return _integral(valid)


def _integral(x: np.ndarray) -> np.ndarray:
    return np.pad(x.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _sum(integral: np.ndarray, w: Window) -> float:
    bottom, right = w.row + w.height, w.col + w.width
    return float(integral[bottom, right] - integral[w.row, right] - integral[bottom, w.col] + integral[w.row, w.col])
