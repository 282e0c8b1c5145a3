"""A scene's raster before it is written, and what it should read as."""

import dataclasses
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio
import toy
from fuzz import seeds
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

NAMES = list(seeds.BANDS)


@dataclasses.dataclass
class Draft:
    """A raster to be written, and the truth about it.

    Attributes:
        values: stored numbers [bands, height, width].
        truth: reflectance [height, width, 4] in the order of the contract.
        valid: where it is known, bool [height, width].
        doubt: pixels at which a reader may decide either way.
        flags: of `open_scene`.
        must: see `engine.Attempt`; what refuses wins over what must be accepted.
        beside: files to be written beside it, by name.
        after: changes of the written file.
    """

    values: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    names: list[str] = dataclasses.field(default_factory=lambda: list(NAMES))
    crs: Any = toy.CRS
    transform: Affine = dataclasses.field(default_factory=lambda: Affine(10, 0, toy.LEFT, 0, -10, toy.TOP))
    nodata: float | None = 0
    tags: dict[str, str] = dataclasses.field(default_factory=lambda: {"RADIO_ADD_OFFSET": "-1000"})
    scales: list[float] = dataclasses.field(default_factory=list)
    offsets: list[float] = dataclasses.field(default_factory=list)
    interpretation: list[ColorInterp] = dataclasses.field(default_factory=list)
    mask: np.ndarray | None = None
    gcps: list[Any] = dataclasses.field(default_factory=list)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    overviews: bool = False
    driver: str = "GTiff"
    doubt: np.ndarray | None = None
    flags: dict[str, Any] = dataclasses.field(default_factory=dict)
    must: list[str] = dataclasses.field(default_factory=list)
    beside: dict[str, bytes] = dataclasses.field(default_factory=dict)
    after: list[Callable[[pathlib.Path], pathlib.Path | None]] = dataclasses.field(default_factory=list)

    def index(self, band: str) -> int:
        """Of a band among the values."""
        return self.names.index(band) if band in self.names else NAMES.index(band)


def draft() -> Draft:
    """An ordinary scene: digital numbers with a corner that is absent."""
    dn = seeds.numbers().copy()
    dn[:2, :3] = 0
    return Draft(np.moveaxis(dn, -1, 0).copy(), (dn.astype(np.float32) - 1000) / 10000, (dn != 0).all(-1))


def write(d: Draft, path: pathlib.Path) -> None:
    """Writes a draft and what lies beside it."""
    count, height, width = d.values.shape
    profile = {
        "driver": d.driver, "count": count, "height": height, "width": width, "dtype": d.values.dtype,
        "crs": d.crs, "transform": d.transform, "nodata": d.nodata, **d.options,
    }  # fmt: skip
    if d.gcps:
        profile.pop("transform")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as raster:
        if d.interpretation:
            raster.colorinterp = d.interpretation
        raster.write(d.values)
        raster.descriptions = tuple((d.names + [""] * count)[:count])
        raster.update_tags(**d.tags)
        if d.scales:
            raster.scales = (d.scales * count)[:count]
        if d.offsets:
            raster.offsets = (d.offsets * count)[:count]
        if d.mask is not None:
            raster.write_mask(d.mask)
        if d.gcps:
            raster.gcps = (d.gcps, rasterio.CRS.from_string(toy.CRS))
        if d.overviews:
            raster.build_overviews([2], rasterio.enums.Resampling.cubic)
    for name, content in d.beside.items():
        (path.parent / name).write_bytes(content)


def read_independently(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """What a damaged file still says: reflectance [h, w, 4] and valid, read whole and decoded by the book."""
    with rasterio.open(path) as raster:
        stack, names, tags = raster.read(), list(raster.descriptions), raster.tags()
        nodata = raster.nodata
    order = [names.index(b) for b in NAMES]
    offset = float(tags["RADIO_ADD_OFFSET"])
    if offset not in (-1000.0, 0.0):
        raise ValueError(f"there is no offset of {offset}")
    dn = np.moveaxis(stack[order], 0, -1)
    valid = (dn != 0).all(-1)
    if nodata is not None and not np.isnan(nodata):
        valid &= (dn != nodata).all(-1)
    return (dn.astype(np.float32) + np.float32(offset)) * np.float32(1e-4), valid


Mutation = Callable[[random.Random, Draft], None]
MUTATIONS: dict[str, Mutation] = {}


def mutation(must: str = "either") -> Callable[[Mutation], Mutation]:
    """Registers a mutation of a draft, and what has to come of it when it is alone."""

    def register(function: Mutation) -> Mutation:
        def noted(rng: random.Random, d: Draft) -> None:
            function(rng, d)
            d.must.append(must)

        MUTATIONS[function.__name__] = noted
        return function

    return register
