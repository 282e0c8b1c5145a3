"""Writes a layer that a network takes and that is made from another.

`power` makes backscatter in dB from linear power, `elevation` makes slope, northness and eastness (see
`rasters.derived`) from elevation in metres on a north-up UTM lattice. `jointseg prepare` does the same by
`dataset.modalities.NAME.stored`.
"""

import pathlib

import numpy as np

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import BEYOND
from jointseg_jax.rasters.derived import TERRAIN, decibel, terrain
from jointseg_jax.rasters.lattice import Window, spacing_of
from jointseg_jax.rasters.metric import check_metric
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.encoding import stated
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import read_mask, read_window
from jointseg_jax.rasters.writer import Layout, write_raster


def derive(what: str, source: pathlib.Path, target: pathlib.Path) -> None:
    """Writes the derived layer.

    Args:
        what: `power` or `elevation`.
        source: the raster.
        target: float32, NaN where unknown.

    Raises:
        InputError: the source cannot be read, has several bands of elevation, or is not in UTM metres.
    """
    if source.resolve() == target.resolve():
        raise InputError(f"{target} is the input: give the output another name")
    with open_raster(source) as raster:
        lattice, names = dataset_lattice(raster), tuple(d or "" for d in raster.descriptions)
        says = stated(raster, tuple(raster.indexes))
        around = Window(0, 0, *raster.shape).pad(1)
        stored, inside = read_window(raster, around)
        values = stored.astype(np.float64) * says.scale + says.offset
        valid = inside & read_mask(raster, around) & (np.abs(values) < BEYOND).all(-1)
    core = np.s_[1:-1, 1:-1]
    if what == "power":
        found, known = decibel(values[core], valid[core])
    else:
        check_metric(lattice, None, str(source))
        if values.shape[-1] != 1:
            raise InputError(f"{source} has {values.shape[-1]} bands, but elevation is one: give a raster of one band")
        found, known = terrain(values[..., 0], valid, spacing_of(lattice), TERRAIN)
        names = TERRAIN
    write_raster(
        target, np.where(known[..., None], found, np.float32(np.nan)), Layout(lattice, "float32", names, np.nan)
    )


if __name__ == "__main__":
    cli.run_command("derive")
