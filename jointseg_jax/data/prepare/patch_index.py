"""The patch index of a dataset."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from jointseg_jax.data.dataset import INDEX_COLUMNS, TRUSTED, Site, day_columns
from jointseg_jax.data.prepare import site_dates, splits
from jointseg_jax.data.prepare.recipe import strips
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
        InputError: a split with ground has no patch.
    """
    rows, trusted = [], []
    for site in sites:
        with open_raster(root / site.split) as raster:
            codes = read_window(raster, Window(0, 0, site.height, site.width))[0][..., 0]
        known, impervious = label_shares(root / site.label, site.height, site.width)
        labelled = bool(known[-1, -1])
        usable = known if labelled else image_shares(root / site.image, site)
        gaps = None if site.gaps is None else _integral(site.gaps.share(site.height, site.width))
        for split in splits.SPLITS:
            ground = _integral((codes == splits.CODES[split]).astype(np.float64))
            stride = config.stride if split == "train" else config.patch
            for row in range(0, site.height - config.patch + 1, stride):
                for col in range(0, site.width - config.patch + 1, stride):
                    window = Window(row, col, config.patch, config.patch)
                    if _sum(ground, window) < config.patch**2 - 0.5:
                        continue
                    valid = _sum(usable, window) / config.patch**2
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
                f"no patch of {config.patch} pixels fits into the ground of split {split!r}: lower dataset.patch, "
                "dataset.min_valid or dataset.split.gap, or raise dataset.split.block"
            )
    return index


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
