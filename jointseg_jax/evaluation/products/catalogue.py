"""The table of known products: codes, years, grid, what counts as built, what is excluded, and where that is stated.

A code that could not be found in a public description of the product is not in the table; the user gives it then.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

THRESHOLD = 0.5  # fraction from which a pixel counts as built
_ROUNDING = 1e-3  # relative; a fraction may exceed 1 by so much
CELL_AREA = "cell area"


@dataclasses.dataclass(frozen=True)
class Product:
    """A product and the meaning of its numbers.

    One of `built`, `first_year` and `full` says how a number becomes a fraction of built ground.

    Attributes:
        name: on the command line.
        title: for tables.
        years: first and last year that it has, None for one that is not fixed; None if unknown.
        built: codes of built ground.
        other: codes of other ground; every other code is unknown. None if every code but `built` and `unknown` is other
            ground.
        unknown: codes without a statement about the ground.
        first_year: code -> year from which the ground is built; 0 is ground never built. All other codes are unknown.
        full: number of a wholly built cell, or `CELL_AREA` if it is the cell's area in square metres; numbers outside
            0 to `full` are unknown.
        band: name of the band to read in files with several.
        year_in_name: regular expression with the year as its group, where the publisher's file names state several.
        grid: its pixels and CRS, in words.
        counts: what counts as built.
        excludes: what does not, or how else it differs from impervious surface.
        citation: of the product.
        source: where the codes are stated.
    """

    name: str
    title: str
    years: tuple[int, int | None] | None = None
    built: tuple[int, ...] = ()
    other: tuple[int, ...] | None = None
    unknown: tuple[float, ...] = ()
    first_year: Mapping[int, int] | None = None
    full: float | str | None = None
    band: str | None = None
    year_in_name: str = ""
    grid: str = ""
    counts: str = ""
    excludes: str = ""
    citation: str = ""
    source: str = ""

    @property
    def kind(self) -> str:
        """`classes`, `year of change` or `fraction`."""
        return "fraction" if self.full is not None else "classes" if self.first_year is None else "year of change"

    def fraction(self, values: np.ndarray, mask: np.ndarray, year: int | None, cell_m2: float) -> np.ndarray:
        """The built fraction of every cell.

        Args:
            values: stored numbers [h, w].
            mask: where the raster has data [h, w].
            year: that the ground is shown at, for a year of change.
            cell_m2: area of a cell.

        Returns:
            float32 [h, w]; NaN where it is unknown.
        """
        known = mask & ~np.isin(values, self.unknown)
        if self.full is not None:
            full = cell_m2 if self.full == CELL_AREA else float(self.full)
            with np.errstate(invalid="ignore"):
                known &= (values >= 0) & (values <= full * (1 + _ROUNDING))  # False for NaN
                share = np.minimum(values.astype(np.float64) / full, 1)
            return np.where(known, share, np.nan).astype(np.float32)
        codes: tuple[int, ...] = self.built
        if self.first_year is not None:
            assert year is not None
            codes = tuple(code for code, first in self.first_year.items() if first <= year)
            known = (mask | (values == 0)) & np.isin(values, (0, *self.first_year))  # some files state 0 as nodata
        elif self.other is not None:
            known &= np.isin(values, (*self.built, *self.other))
        return np.where(known, np.isin(values, codes), np.nan).astype(np.float32)


_GISA_YEARS = (1972, 1978, *range(1985, 2020))

CATALOGUE = {
    product.name: product
    for product in (
        Product(
            "worldcover", "ESA WorldCover", (2020, 2021), built=(50,), other=(10, 20, 30, 40, 60, 70, 80, 90, 95, 100),
            grid="10 m (1/12000 degree), EPSG:4326, tiles of 3 degrees",
            counts="the class built-up: buildings, roads and other structures",
            excludes="urban green (parks, sports fields); 2020 (v100) and 2021 (v200) are of different algorithms, so "
            "their difference is no change",
            citation="Zanaga et al. 2021 (10.5281/zenodo.5571936), 2022 (10.5281/zenodo.7254221), CC BY 4.0",
            source="Euro Data Cube's documentation of the product (every code; 0 is no data), Terrascope's (grid)",
        ),
        Product(
            "dynamicworld", "Dynamic World", (2015, None), built=(6,), other=(0, 1, 2, 3, 4, 5, 7, 8), band="label",
            grid="10 m, UTM of the Sentinel-2 scene",
            counts="the class built, of one Sentinel-2 scene",
            excludes="clouds are masked: export them as nodata, because code 0 is water; a composite over a year "
            "(most frequent label) is the user's",
            citation="Brown et al. 2022 (10.1038/s41597-022-01307-4), CC BY 4.0",
            source="Earth Engine catalogue, GOOGLE/DYNAMICWORLD/V1: its example script takes the label as the "
            "index of a list of class names with built at 6; a public program lists the same nine codes",
        ),
        Product(
            "esri", "Esri / Impact Observatory land cover", (2017, None), built=(7,), other=(1, 2, 4, 5, 8, 9, 11),
            year_in_name=r"_(\d{4})0101-\d{4}0101",
            grid="10 m, UTM, a file per zone and band of latitude and year, such as 50R_20210101-20220101.tif",
            counts="the class built area, as the most likely cover of a year",
            excludes="10 is cloud; the nine classes have no codes 3 and 6 (files of the first version have ten "
            "classes and need built=7,unknown=0+10)",
            citation="Karra et al. 2021 (10.1109/IGARSS47720.2021.9553499), CC BY 4.0",
            source="the layer functions of Esri's image service Sentinel2_10m_LandCover name every code; file names as "
            "public programs download them",
        ),
        Product(
            "ghsl", "GHS-BUILT-S", (1975, 2030), full=CELL_AREA, year_in_name=r"_E(\d{4})_",
            grid="10 m (2018) or 100 m (every five years), Mollweide ESRI:54009; 3 arc seconds, EPSG:4326",
            counts="built-up surface in square metres per cell: a fraction, not a class",
            excludes="roads and other sealed ground without a building; the series from 1975 to 2030 is interpolated "
            "and extrapolated from five observed epochs",
            citation="Pesaresi, Politis 2023 (10.2905/9F06F36F-4B11-47EC-ABB0-4F8B7B1D72EA), free reuse",
            source="Earth Engine catalogue, JRC/GHSL/P2023A/GHS_BUILT_S_10m (square metres per cell); numbers above "
            "the cell's area are unknown, whatever a file states as nodata; file names as in JRC's open data",
        ),
        Product(
            "gisa", "GISA", (1972, 2019), first_year=dict(enumerate(_GISA_YEARS, start=1)),
            grid="30 m (0.000269 degree), EPSG:4326, tiles of 5 degrees",
            counts="impervious surface, by the first year in which it was found",
            excludes="0 is ground never built as well as no data; never turns back; the later edition to 2021 was "
            "not checked",
            citation="Huang et al. 2021 (10.1007/s11430-020-9797-9; 10.5281/zenodo.5136330), CC BY 4.0",
            source="README of Zenodo 5136330; two public programs use the same table of years",
        ),
        Product(
            "gaia", "GAIA", (1985, 2018), first_year={2019 - year: year for year in range(1985, 2019)},
            grid="30 m, EPSG:4326",
            counts="pixels with more than half impervious surface, by the year of the change",
            excludes="0 is ground never built as well as no data; never turns back",
            citation="Gong et al. 2020 (10.1016/j.rse.2019.111510), CC BY 4.0",
            source="Earth Engine catalogue, Tsinghua/FROM-GLC/GAIA/v10: table of the band change_year_index; the tiles "
            "of the authors' own site were not checked",
        ),
        Product(
            "sinolc", "SinoLC-1", None,
            grid="1 m, China",
            counts="the classes building and traffic route of eleven",
            excludes="neither the paper's abstract nor the authors' public repositories state the codes (they are in "
            "the attribute table inside the files): read them there and give them, built=A+B",
            citation="Li et al. 2023 (10.5194/essd-15-4749-2023; 10.5281/zenodo.7707461)",
            source="",
        ),
        Product(
            "openbuildings", "Open Buildings 2.5D Temporal", (2016, 2023), full=1.0, band="building_presence",
            grid="0.5 m (4 m effective; 4 m pixels in Earth Engine), UTM",
            counts="buildings: confidence from 0 to 1 that a pixel is of one",
            excludes="roads, squares and all other sealed ground; covers Africa, South and South-East Asia, Latin "
            "America and the Caribbean alone; the publisher calls the confidence uncalibrated and fit for thresholds, "
            "so its mean is no area",
            citation="Sirko et al. 2023 (arXiv 2310.11622), CC BY 4.0 or ODbL 1.0",
            source="Earth Engine catalogue, GOOGLE/Research/open-buildings-temporal/v1: table of the bands; the names "
            "of bands in downloaded files were not checked (else give band=)",
        ),
    )
}  # fmt: skip
