"""Finds ground where vectors are missing: cells in which another source shows buildings and the label does not."""

import dataclasses
import pathlib

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage

from jointseg_jax.data.prepare.labels.features import read_features
from jointseg_jax.data.prepare.labels.rules import Rule, Rules
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window, coarsen, crs_text

RASTERS = (".tif", ".tiff", ".vrt", ".img", ".jp2")
_FOOTPRINTS = Rules((Rule("footprints", 1),))  # areas alone
_FLOOR = 0.01  # built-up share of a cell that is judged [ours]: a house on a hectare
# Metres by which both may differ [ours]: footprints of two sources are shifted against each other; a built-up pixel
# of a 10 m product holds something built, and much that is not.
_SHIFT, _PIXEL = 2, 10


@dataclasses.dataclass(frozen=True)
class Completeness:
    """How the completeness of vectors is judged.

    Attributes:
        codes: of the raster that mean built-up ground; empty: every number but 0.
        cell: side of the square cells that are judged one by one, metres.
        least: share of the built-up ground of a cell that must be impervious in the label, or close to it.
    """

    codes: tuple[int, ...] = ()
    cell: int = 100
    least: float = 0.5


@dataclasses.dataclass(frozen=True)
class JudgedCells:
    """The result of `ignore_gaps`.

    Attributes:
        counts: what was judged -> number of cells.
        sparse: which cells lack vectors, bool `[rows, columns]`.
    """

    counts: dict[str, int]
    sparse: np.ndarray


BY_DEFAULT = Completeness()


def ignore_gaps(
    values: np.ndarray, fine: GeoBox, built_up: pathlib.Path, how: Completeness, scratch: pathlib.Path | None = None
) -> JudgedCells:
    """Sets pervious ground to 255, in place, in the cells where vectors are missing.

    Args:
        values: label `[height, width]` on the 1 m lattice.
        fine: the 1 m lattice; its sides are multiples of 10 m.
        built_up: building footprints (vectors), or a raster of built-up ground in any CRS.
        how: see `Completeness`.
        scratch: see `vector_window.read_window`.

    Raises:
        InputError: the file cannot be read, or has nothing on the site.
    """
    raster = built_up.suffix.lower() in RASTERS
    built = _from_raster(built_up, fine, how) if raster else _from_footprints(built_up, fine, scratch)
    built &= values != IGNORE
    near = 2 * (_PIXEL if raster else _SHIFT) + 1
    drawn = built & (ndimage.maximum_filter((values == 1).astype(np.uint8), near) > 0)
    expected, found = _per_cell(built, how.cell), _per_cell(drawn, how.cell)
    judged = expected >= _FLOOR * how.cell**2
    sparse = judged & (found < how.least * expected)
    ignored = repeat_pixels(sparse, how.cell)[: values.shape[0], : values.shape[1]]
    values[ignored & (values == 0)] = IGNORE
    return JudgedCells({"cells built up": int(judged.sum()), "cells without vectors": int(sparse.sum())}, sparse)


def _per_cell(mask: np.ndarray, cell: int) -> np.ndarray:
    """True pixels of every cell; the last cells may be cut."""
    rows, cols = np.arange(0, mask.shape[0], cell), np.arange(0, mask.shape[1], cell)
    return np.add.reduceat(np.add.reduceat(mask.astype(np.int64), rows, 0), cols, 1)


def _from_footprints(path: pathlib.Path, fine: GeoBox, scratch: pathlib.Path | None) -> np.ndarray:
    box = fine.boundingbox
    found = read_features([path], _FOOTPRINTS, (box.left, box.bottom, box.right, box.top), crs_text(fine), scratch)
    shapes = ((shape.geometry, 1) for shape in found.shapes)
    return burn(shapes, np.zeros(fine.shape, np.uint8), fine.affine) > 0


def _from_raster(path: pathlib.Path, fine: GeoBox, how: Completeness) -> np.ndarray:
    def recode(codes: np.ndarray, inside: np.ndarray) -> np.ndarray:
        built = np.isin(codes, how.codes) if how.codes else codes > 0
        return np.where(inside, built, IGNORE).astype(np.uint8)

    coarse = coarsen(fine, FINE_FACTOR)
    with open_aligned(path, coarse, warp=True, categorical=True, recode=recode) as raster:
        built, inside = raster.read(Window(0, 0, *coarse.shape))
    known = inside & (built[..., 0] != IGNORE)
    if not known.any():
        raise InputError(f"{path} has no data on the site: check its CRS and extent, or empty dataset.source.built_up")
    return repeat_pixels(known & (built[..., 0] == 1), FINE_FACTOR)
