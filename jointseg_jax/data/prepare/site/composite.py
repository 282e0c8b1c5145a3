"""Joins the prepared dates of a modality into one raster: the medoid of each pixel.

The medoid of a pixel is the measured spectrum, of its valid dates, whose summed distance to the others is smallest
(Flood 2013, doi:10.3390/rs5126481): no mixture of dates, and not moved by a cloud that the mask missed. Of two dates it
is the first one.
"""

import contextlib
import pathlib
from collections.abc import Sequence

import numpy as np

from jointseg_jax.data.prepare.recipe import strips
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.reader import open_raster, read_window
from jointseg_jax.rasters.writer import Layout, raster_writer


def medoid(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The date of each pixel whose spectrum lies nearest to those of all valid dates, int `[h, w]`; 0 without any.

    Args:
        values: `[dates, h, w, bands]`, in any one unit.
        valid: bool `[dates, h, w]`.
    """
    away = np.zeros(valid.shape)
    for other, there in zip(values, valid, strict=True):
        away += there * np.sqrt(np.square(values - other).sum(-1, dtype=np.float64))
    return np.where(valid, away, np.inf).argmin(0)


def write_medoid(dates: Sequence[pathlib.Path], modality: Modality, target: pathlib.Path, layout: Layout) -> None:
    """Writes the medoid of prepared dates, in strips.

    Args:
        dates: rasters of one layout, the best date first.
        modality: of them.
        target: to write.
        layout: of them and of the target.
    """
    with contextlib.ExitStack() as stack:
        rasters = [stack.enter_context(open_raster(path)) for path in dates]
        writer = stack.enter_context(raster_writer(target, layout))
        for window in strips(*layout.lattice.shape):
            stored = np.stack([read_window(raster, window)[0] for raster in rasters])
            valid = modality.valid(stored)
            which = medoid(np.where(valid[..., None], modality.decode(stored), 0), valid)
            writer.write(np.take_along_axis(stored, which[None, ..., None], 0)[0], window)
