"""The landscape as raw rasters, in the layout a user's own data would have: a table of site folders."""

import contextlib
import pathlib
import shutil
import zlib
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely.affinity

from jointseg_jax.bounds.config import check_dataset
from jointseg_jax.data.prepare.site_list import TABLE
from jointseg_jax.data.sensor import Sensor, SensorSpread
from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import write_vectors
from jointseg_jax.landscape import BANDS, REGIONS, SyntheticScene, make_scene
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import COARSE_SPACING, IGNORE
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.radiometry.offsets import ADDED, QUANTIFICATION
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage import folders, formats
from jointseg_jax.storage.files import clear_partial_folders, write_text
from jointseg_jax.storage.locks import exclusive

VERSION = 4  # raise it when the same arguments give other rasters
CRS = "EPSG:32650"
_DATED = ("s2", "s2_20m", "s1", "label")  # what has the date of the image
_RECORD = "landscape.json"  # in a site's folder: what it was made of
_LEFT, _TOP = 499_980.0, 3_400_020.0  # multiples of 60 m
_STEP = 12_000.0  # between sites
_TEN, _TWENTY = ("B02", "B03", "B04", "B08"), ("B11", "B12")
_CLOUD = np.array([0.62, 0.63, 0.64, 0.66, 0.45, 0.36], np.float32)  # reflectance of cloud in BANDS
SHIFT = 0.5  # metres; spread of the misregistration that `instrument` draws unless it is told another
_SHADOW = 0.35  # light left in a cloud's shadow
_TAGS = {"RADIO_ADD_OFFSET": -ADDED, "PROCESSING_BASELINE": "05.09", "ORIGIN": "simulated by jointseg-jax"}


def make_landscape(config: Any, say: Callable[[str], None] = print) -> None:
    """Makes the raw rasters of a dataset config whose source is the landscape.

    Args:
        config: `config.dataset`; see configs/common.py for its fields.
        say: receives a line per site.

    Raises:
        InputError: the landscape cannot be made as asked.
    """
    check_dataset(config)
    write_landscape(pathlib.Path(config.source.root).expanduser(), config.source.landscape, say)


def write_landscape(root: pathlib.Path, spec: Any, say: Callable[[str], None]) -> None:
    """Writes all sites that are not there yet, and the table that lists them.

    Args:
        root: folder for sites.csv and a folder per site.
        spec: `sites` per sub-region, `side` in metres (a multiple of 60), `years`, `seed`; perhaps `shift`, metres,
            the spread of the misregistration of every acquisition.
        say: receives a line per site.

    Raises:
        InputError: the landscape cannot be made as asked.
    """
    with (
        folders.claim(root, "embedded landscape", older=_made_without_marker),
        exclusive(root, "landscape generation", wait=True),  # whoever comes second finds it made
    ):
        clear_partial_folders(root)  # of a run that was killed
        rows, made = [], 0
        shift = float(spec.get("shift", SHIFT))
        for column, region in enumerate(REGIONS):
            for number in range(1, spec.sites + 1):
                place = f"{region}-{number}"
                corner = (_LEFT + column * _STEP * 10, _TOP - number * _STEP)
                for year in spec.years:
                    site = place if len(spec.years) == 1 else f"{place}-{year}"
                    seed = zlib.crc32(f"{spec.seed} {place}".encode())
                    about = {"region": region, "year": year, "side": spec.side, "seed": seed}
                    made += _write_once(root / site, about, corner, shift)
                    row = {"site": site, "place": place, "region": region, "date": str(year), "folder": site}
                    rows.append(row | {f"date_{name}": str(year) for name in _DATED})
        write_text(root / TABLE, pd.DataFrame(rows).to_csv(index=False))
    area = len(rows) * spec.side**2 / 1e6
    say(f"{root}: landscape of {len(rows)} sites, {area:.1f} km2 in all ({made} new)")


def _made_without_marker(folder: pathlib.Path) -> list[str] | None:
    """Recognises a landscape of before folders were marked."""
    return [] if any(folder.glob(f"*/{_RECORD}")) else None


def _write_once(folder: pathlib.Path, about: dict[str, Any], corner: tuple[float, float], shift: float) -> bool:
    """Writes a site unless the same one is there; whether it was written."""
    record = folder / _RECORD
    asked = {"version": VERSION, **about} | ({} if shift == SHIFT else {"shift": shift})
    with contextlib.suppress(FileNotFoundError, formats.Damaged):  # then it is made, or made anew
        if formats.read_record(record, formats.LANDSCAPE) == asked:
            return False
    if folder.exists() and not record.is_file():
        raise InputError(
            f"{folder} was not written by this program, but a site of the landscape belongs there: move it away, or "
            "choose another dataset.source.root"
        )
    try:
        side = about["side"]
        scene = make_scene(about["region"], year=about["year"], height=side, width=side, seed=about["seed"])
    except ValueError as error:
        raise InputError(f"site {folder.name!r} of the landscape cannot be generated: {error}") from error
    building = folder.with_name(f".partial-{folder.name}")
    building.mkdir(parents=True)
    try:
        write_scene(building, scene, corner, shift)
        if folder.exists():
            formats.write_record(record, {}, formats.LANDSCAPE)  # of neither while files of both are there
            for path in sorted(building.iterdir()):
                path.replace(folder / path.name)
            formats.write_record(record, asked, formats.LANDSCAPE)
        else:
            formats.write_record(building / _RECORD, asked, formats.LANDSCAPE)
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def write_scene(folder: pathlib.Path, scene: SyntheticScene, corner: tuple[float, float], shift: float = SHIFT) -> None:
    """Writes the raw rasters and vectors of one scene: image, label, s2, s2_20m, s1, dem, scl, features.gpkg.

    Args:
        folder: target.
        scene: from `make_scene`.
        corner: left and top of the scene in `CRS`, multiples of 60 m.
        shift: spread of the misregistration of Sentinel-2, metres.
    """
    height, width = scene.label.shape
    left, top = corner

    def lattice(spacing: int) -> Any:
        return make_lattice(CRS, left, top, spacing, height // spacing, width // spacing)

    state = scene.seed, scene.weather
    rng = np.random.default_rng(state)
    image = display(scene.reflectance[..., [BANDS.index(b) for b in ("B04", "B03", "B02")]])
    write_raster(
        folder / "image.tif", image, Layout(lattice(1), "uint8", ("R", "G", "B"), tags={"YEAR": scene.year}, rgb=True)
    )
    write_raster(folder / "label.tif", scene.label, Layout(lattice(1), "uint8", ("impervious",), IGNORE))
    for name, bands, spacing in (("s2", _TEN, 10), ("s2_20m", _TWENTY, 20)):
        sensor = instrument(*state, bands, spacing, shift)
        dn = digital_numbers(scene.reflectance, scene.cloud, scene.cloud_shadow, bands, sensor, rng)
        write_raster(folder / f"{name}.tif", dn, Layout(lattice(spacing), "uint16", bands, 0, _TAGS))
    write_raster(
        folder / "s1.tif", scene.backscatter.astype(np.float32), Layout(lattice(10), "float32", ("VV", "VH"), np.nan)
    )
    write_raster(
        folder / "dem.tif", scene.elevation.astype(np.float32), Layout(lattice(10), "float32", ("elevation",), np.nan)
    )
    classes = classification(scene.reflectance, scene.cloud, scene.cloud_shadow)
    write_raster(folder / "scl.tif", classes, Layout(lattice(20), "uint8", ("SCL",), 0))
    _write_vectors(folder / "features.gpkg", scene, corner)


def display(reflectance: np.ndarray) -> np.ndarray:
    """A linear 8-bit stretch of red, green, blue, as imagery is delivered; [h, w, 3] uint8."""
    low, high = np.percentile(reflectance, (0.5, 99.5), axis=(0, 1))
    stretched = (reflectance - low) / np.maximum(high - low, 1e-3)
    return np.round(1 + 254 * np.clip(stretched, 0, 1)).astype(np.uint8)


def instrument(seed: int, weather: int, bands: tuple[str, ...], spacing: int, shift: float = SHIFT) -> Sensor:
    """Sentinel-2 as it was over one site in one year: published figures, each a little off, for all bands alike.

    Its misregistration has a spread of `shift` metres.
    With one state for all, training and test sites would share a degradation that no real archive shares.
    """
    rng = np.random.default_rng([seed, weather, 1])
    return SensorSpread(shift=shift / COARSE_SPACING).draw(Sensor.sentinel2(bands, float(spacing)), rng)


def digital_numbers(
    reflectance: np.ndarray,
    cloud: np.ndarray,
    shadow: np.ndarray,
    bands: tuple[str, ...],
    sensor: Sensor,
    rng: np.random.Generator,
) -> np.ndarray:
    """The numbers Sentinel-2 would deliver, clouds and their shadows included.

    Args:
        reflectance: `[h, w, 6]` in the order of BANDS, at 1 m.
        cloud, shadow: opacity 0 to 1, `[h, w]`.
        bands: those wanted.
        sensor: of them, see `instrument`.
        rng: of the noise.

    Returns:
        Uint16 `[h / spacing, w / spacing, bands]`, at the spacing of the sensor.
    """
    index = [BANDS.index(b) for b in bands]
    cloud, shadow = cloud[..., None], shadow[..., None]
    seen = reflectance[..., index] * (1 - (1 - _SHADOW) * shadow) * (1 - cloud) + _CLOUD[index] * cloud
    values, _ = sensor.observe(seen, np.ones(reflectance.shape[:2], bool), rng=rng)
    return np.clip(np.round(values * QUANTIFICATION + ADDED), 1, 65535).astype(np.uint16)


def classification(reflectance: np.ndarray, cloud: np.ndarray, shadow: np.ndarray) -> np.ndarray:
    """A scene classification (SCL) at 20 m: 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 8 and 9 cloud.

    Arguments as of `digital_numbers`; returns uint8 `[h / 20, w / 20]`.
    """
    red, nir = (block_mean(reflectance[..., BANDS.index(b)], 20) for b in ("B04", "B08"))
    ndvi = (nir - red) / np.maximum(nir + red, 1e-4)
    classes = np.where(ndvi > 0.4, 4, np.where((nir < 0.08) & (ndvi < 0.2), 6, 5))
    cloud, shadow = block_mean(cloud, 20), block_mean(shadow, 20)
    classes = np.where(shadow > 0.15, 3, classes)
    return np.where(cloud > 0.4, 9, np.where(cloud > 0.05, 8, classes)).astype(np.uint8)


def _write_vectors(path: pathlib.Path, scene: SyntheticScene, corner: tuple[float, float]) -> None:
    """Roads, buildings and paved ground as a GeoPackage in the rasters' CRS."""
    left, top = corner
    geometry = [shapely.affinity.affine_transform(f.geometry, [1, 0, 0, -1, left, top]) for f in scene.features]
    columns = {
        name: [getattr(f, name) for f in scene.features] for name in ("kind", "name", "width", "height", "year_built")
    }
    write_vectors(path, gpd.GeoDataFrame(columns, geometry=geometry, crs=CRS), "features")
