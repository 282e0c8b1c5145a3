"""The header of a raster file: everything but its pixels."""

import dataclasses
import os
from collections.abc import Mapping

from odc.geo.geobox import GeoBox

from jointseg_jax.rasters.lattice import crs_name
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import open_raster

Colour = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Header:
    """The bands of a raster, which share one dtype, and its lattice.

    Attributes:
        bands: names, empty for unnamed bands.
        scale, offset: GDAL's, of the first band: value = stored * scale + offset.
        block: height and width of the blocks of the first band.
        colormap: of the first band, red, green, blue, alpha; None without one.
        rgb: the first three bands are red, green and blue.
    """

    lattice: GeoBox
    dtype: str
    bands: tuple[str, ...]
    nodata: float | None
    scale: float
    offset: float
    block: tuple[int, int]
    colormap: Mapping[int, Colour] | None
    rgb: bool
    tags: Mapping[str, str]

    @property
    def crs(self) -> str:
        """A short name of the CRS."""
        return crs_name(self.lattice)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads a header; raises `InputError` if the file is missing or not a raster."""
    with open_raster(path) as raster:
        try:
            colormap: dict[int, Colour] | None = raster.colormap(1)
        except ValueError:
            colormap = None
        return Header(
            dataset_lattice(raster),
            str(raster.dtypes[0]),
            tuple(d or "" for d in raster.descriptions),
            raster.nodata,
            float(raster.scales[0]),
            float(raster.offsets[0]),
            tuple(raster.block_shapes[0]),
            colormap,
            raster.count >= 3 and [c.name for c in raster.colorinterp[:3]] == ["red", "green", "blue"],
            raster.tags(),
        )
