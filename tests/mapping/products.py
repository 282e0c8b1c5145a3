"""A finished product of real maps, as mapping leaves it: files in place and rows as the ledger holds them."""

import pathlib
import shutil

import numpy as np
import rasterio
import toy
from geodesic import rectangle_area

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.rasters.lattice import Window, coarsen
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.writer import Layout, cog_writer
from jointseg_jax.storage.files import sha256


def make_product(folder, trained, data, raw):
    """Four tiles in zone 50 and one in zone 51, mapped by the predictor; the rows of their ledger."""
    rows = {}
    for number, name in enumerate("abcd"):
        tile = f"50N_{number:04d}_0340"
        rows[tile] = map_tile(folder, trained, data.root / "sites" / name, tile)
    other = folder.parent / f"{folder.name}-zone51"
    shutil.copytree(raw / "c", other)
    for path in other.glob("*.tif"):
        toy.rewrite(path, crs="EPSG:32651")
    rows["51N_0002_0340"] = map_tile(folder, trained, other, "51N_0002_0340")
    return rows


def map_tile(folder, trained, site, tile, scenes=None, **opening):
    """Maps a site as one tile and says what its row says."""
    opened = open_scene(site, trained.meta.contract, **opening)
    place = folder / "tiles" / tile
    product = write_product(Predictor(trained, 4, tile=16), opened.scene, place, opened.decisions)
    (place / "quicklook.png").unlink()
    lattice = lattice_of(product.files["impervious"])
    coarse = coarsen(lattice, 10)
    chosen = Layout(coarse, "uint8", ("scene",), 255)
    with cog_writer(place / "scene.tif", chosen, overviews="mode") as writer:
        writer.write(np.zeros(coarse.shape, np.uint8), Window(0, 0, *coarse.shape))
    files = {"scene": place / "scene.tif", **{k: v for k, v in product.files.items() if k != "quicklook"}}
    return row_of(folder, trained, tile, files, opened.decisions, scenes)


def row_of(folder, trained, tile, files, decisions, scenes=None):
    """The row of a tile whose files lie there."""
    with rasterio.open(files["impervious"]) as raster:
        classes, bounds, epsg = raster.read(1), raster.bounds, raster.crs.to_epsg()
    ground = abs(rectangle_area(epsg, bounds))
    return {
        "tile": tile,
        "epsg": epsg,
        "bounds": list(bounds),
        "datetime": "2021-06-01T03:05:41+00:00",
        "scenes": scenes or [{"id": f"S2A_{tile}", "datetime": "2021-06-01T03:05:41+00:00", "share": 1.0}],
        "files": {
            layer: {
                "path": pathlib.Path(path).relative_to(folder).as_posix(),
                "sha256": sha256(path),
                "bytes": pathlib.Path(path).stat().st_size,
            }
            for layer, path in files.items()
        },
        "owned_m2": ground,
        "valid_m2": ground * float((classes != 255).mean()),
        "impervious_m2": ground * float((classes == 1).mean()),
        "decisions": dict(decisions),
        "agreement": [],
        "model": {"name": trained.name, "step": trained.step, "weights": trained.weights, "sha256": "ab" * 32},
        "seconds": {"read": 0.1, "compute": 0.5, "write": 0.2},
    }
