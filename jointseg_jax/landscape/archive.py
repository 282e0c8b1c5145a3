"""A small archive of the kind that teams have, made of the embedded landscape.

DIR/s2/*.SAFE     two overlapping products in two UTM zones, three days apart, each with its own clouds
    ortho/*.tif   two orthophotos of 0.3 m: one in UTM, placed 3 m too far east, one in Web Mercator
    osm.gpkg      roads, buildings and paved ground with OpenStreetMap's tags, and a boundary, which is no ground
    s1/, dem/     radar at 10 m and elevation at 1", both of the western half alone
    area.gpkg     where the middles of sites may lie

The orthophotos are resampled from 1 m: they have the format of 0.3 m, not its detail.
"""

import pathlib
import tempfile

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import shapely.affinity
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax import cli
from jointseg_jax.geo.vectors import write_vectors
from jointseg_jax.landscape import BANDS, SyntheticScene, files, make_scene, noise, sky
from jointseg_jax.landscape.model import Feature
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.warped import bounds_in
from jointseg_jax.rasters.writer import Layout, write_jpeg2000, write_raster
from jointseg_jax.storage import folders
from jointseg_jax.storage.files import write_text

SIDE = 1080  # metres of an orthophoto; the landscape is two of them
MARGIN = 240  # metres between the middle of a site and the edge of its orthophoto
SHIFT = 3.0  # metres by which the first orthophoto is misplaced
YEAR, SEED = 2021, 3
WEST, EAST = "EPSG:32650", "EPSG:32651"
_LEFT, _TOP = 786_300.0, 3_400_020.0  # in WEST; its zone ends near 787 300
_SPACINGS = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B12": 20}
_CLOUD_SEEDS = (30, 54)  # overpasses with clouds over some 5 %
_HIGHWAYS = {
    "highway": "motorway", "arterial": "primary", "avenue": "secondary", "main road": "secondary",
    "street": "residential", "rural road": "unclassified",
}  # fmt: skip
_PAVED = {"car park": ("amenity", "parking"), "path": ("highway", "pedestrian")}


def make_archive(root: pathlib.Path) -> None:
    """Makes the archive of the module's docstring.

    Args:
        root: a new or empty folder, or an archive that this function made.

    Raises:
        InputError: the folder holds something else.
    """
    with folders.claim(root, "embedded archive"):
        scene = make_scene("downstream", year=YEAR, height=SIDE, width=2 * SIDE, seed=SEED)
        ground = make_lattice(WEST, _LEFT, _TOP, 1, SIDE, 2 * SIDE)
        with tempfile.TemporaryDirectory() as scratch:
            drawn = pathlib.Path(scratch) / "reflectance.tif"
            write_raster(drawn, scene.reflectance, Layout(ground, "float32", BANDS))
            third = 20 * (2 * SIDE // 60)
            _product(root / "s2", scene, drawn, ground[:, : 2 * third], "20210514T024551", "T50RQU", _CLOUD_SEEDS[0])
            there = _enclosing(ground[:, third:], EAST)
            _product(root / "s2", scene, drawn, there, "20210517T023551", "T51RTP", _CLOUD_SEEDS[1])
            _orthophoto(root / "ortho" / "west_2021-05-10.tif", drawn, ground[:, :SIDE], WEST, SHIFT)
            _orthophoto(root / "ortho" / "east_2021-06-02.tif", drawn, ground[:, SIDE:], "EPSG:3857", 0.0)
        _radar_and_terrain(root, scene)
        write_vectors(root / "osm.gpkg", _vectors(scene, ground), "osm")
        middles = [_box(ground[:, part]).buffer(-MARGIN) for part in (slice(0, SIDE), slice(SIDE, None))]
        area = gpd.GeoDataFrame({"name": ["west", "east"]}, geometry=middles, crs=WEST)
        write_vectors(root / "area.gpkg", area.to_crs(4326), "area")


def _product(
    folder: pathlib.Path, scene: SyntheticScene, drawn: pathlib.Path, lattice: GeoBox, time: str, tile: str, seed: int
) -> None:
    """Writes a .SAFE product whose tile is `lattice` (1 m); beyond the landscape it is absent."""
    with open_aligned(drawn, lattice, warp=True) as raster:
        reflectance, inside = raster.read(Window(0, 0, *lattice.shape))
    sun = sky.sun_of(noise.stream(SEED, seed, "sun"), YEAR)
    cloud, shadow = sky.clouds(np.random.default_rng(seed), (len(reflectance), reflectance.shape[1]), sun)
    product = folder / f"S2A_MSIL2A_{time}_N0500_R132_{tile}_{time[:8]}T070000.SAFE"
    images = product / "GRANULE" / f"L2A_{tile}_A036000_{time}" / "IMG_DATA"
    rng = np.random.default_rng(seed)
    for band, spacing in _SPACINGS.items():
        sensor = files.instrument(scene.seed, YEAR, (band,), spacing)
        numbers = files.digital_numbers(reflectance, cloud, shadow, (band,), sensor, rng)[..., 0]
        numbers[~_whole(inside, spacing)] = 0
        write_jpeg2000(
            images / f"R{spacing}m" / f"{tile}_{time}_{band}_{spacing}m.jp2", numbers, lattice.zoom_out(spacing)
        )
    classes = files.classification(reflectance, cloud, shadow)
    classes[~_whole(inside, 20)] = 0
    write_jpeg2000(images / "R20m" / f"{tile}_{time}_SCL_20m.jp2", classes, lattice.zoom_out(20))
    write_text(
        product / "MTD_MSIL2A.xml",
        f"<product><PRODUCT_START_TIME>{time[:4]}-{time[4:6]}-{time[6:8]}T02:45:51.024Z</PRODUCT_START_TIME>"
        "<PROCESSING_BASELINE>05.00</PROCESSING_BASELINE><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET>"
        f"<Cloud_Coverage_Assessment>{100 * cloud.mean():.2f}</Cloud_Coverage_Assessment></product>",
    )


def _orthophoto(path: pathlib.Path, drawn: pathlib.Path, ground: GeoBox, crs: str, shift: float) -> None:
    """Writes a picture of 0.3 m; the world lies `shift` metres further east in it than in truth."""
    lattice = _enclosing(ground, crs, 0.3)
    with open_aligned(drawn, lattice, warp=True) as raster:
        bands = tuple(1 + BANDS.index(b) for b in ("B04", "B03", "B02"))
        reflectance, inside = raster.read(Window(0, 0, *lattice.shape), bands)
    picture = np.where(inside[..., None], files.display(reflectance), 0).astype(np.uint8)
    placed = GeoBox(lattice.shape, Affine.translation(shift, 0) * lattice.affine, lattice.crs)
    write_raster(path, picture, Layout(placed, "uint8", ("R", "G", "B"), rgb=True))


def _radar_and_terrain(root: pathlib.Path, scene: SyntheticScene) -> None:
    half = make_lattice(WEST, _LEFT, _TOP, 10, SIDE // 10, SIDE // 10)
    radar = scene.backscatter[:, : SIDE // 10].astype(np.float32)
    write_raster(root / "s1" / "S1A_IW_GRDH_20210512.tif", radar, Layout(half, "float32", ("VV", "VH"), np.nan))
    with tempfile.TemporaryDirectory() as scratch:
        terrain = pathlib.Path(scratch) / "dem.tif"
        elevation = scene.elevation[:, : SIDE // 10].astype(np.float32)
        write_raster(terrain, elevation, Layout(half, "float32", ("elevation",), np.nan))
        degrees = _enclosing(half, "EPSG:4326", 1 / 3600)
        with open_aligned(terrain, degrees, warp=True) as raster:
            values, inside = raster.read(Window(0, 0, *degrees.shape))
    values[~inside] = np.nan
    write_raster(root / "dem" / "dem.tif", values, Layout(degrees, "float32", ("elevation",), np.nan))


def _vectors(scene: SyntheticScene, ground: GeoBox) -> gpd.GeoDataFrame:
    """What was built, with OpenStreetMap's tags, in degrees; two roads of three have a width."""
    tags = [_tags(number, feature) for number, feature in enumerate(scene.features)]
    shapes = [shapely.affinity.affine_transform(f.geometry, [1, 0, 0, -1, _LEFT, _TOP]) for f in scene.features]
    tags.append({"boundary": "administrative", "name": "district"})
    shapes.append(_box(ground))
    return gpd.GeoDataFrame(pd.DataFrame(tags), geometry=shapes, crs=WEST).to_crs(4326)


def _tags(number: int, feature: Feature) -> dict[str, str]:
    if feature.kind == "building":
        return {"building": "yes"}
    if feature.kind == "paved":
        key, value = _PAVED.get(feature.name, ("surface", "paved"))
        return {key: value}
    width = {} if number % 3 == 0 else {"width": f"{feature.width:g} m"}
    return {"highway": _HIGHWAYS.get(feature.name, "service"), **width}


def _whole(inside: np.ndarray, spacing: int) -> np.ndarray:
    """Where all of a coarser pixel is inside."""
    rows, cols = (n // spacing for n in inside.shape)
    return np.asarray(inside.reshape(rows, spacing, cols, spacing).all((1, 3)))


def _box(lattice: GeoBox) -> shapely.Polygon:
    return shapely.box(*lattice.boundingbox.bbox)


def _enclosing(ground: GeoBox, crs: str, spacing: float = 1.0) -> GeoBox:
    """A lattice in another CRS over some ground; at 1 m its sides lie on multiples of 60."""
    step = 60.0 if spacing == 1 else spacing
    left, bottom, right, top = bounds_in(ground, crs)
    left, top = step * np.floor(left / step), step * np.ceil(top / step)
    rows, cols = (round(step / spacing) * int(np.ceil(length / step)) for length in (top - bottom, right - left))
    return make_lattice(crs, left, top, spacing, rows, cols)


if __name__ == "__main__":
    cli.run_command("archive")
