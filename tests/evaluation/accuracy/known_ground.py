"""Makes small products of known classes, with records, and no network behind them."""

import types

import numpy as np

SHAPE = (300, 400)  # of a tile


def classes_of(seed, share):
    """Round towns in open ground, and a corner where nothing was mapped: uint8 [h, w]."""
    rng = np.random.default_rng(seed)
    row, col = np.indices(SHAPE)
    found = np.zeros(SHAPE, np.uint8)
    while (found == 1).mean() < share:
        r, c, size = rng.integers(SHAPE[0]), rng.integers(SHAPE[1]), rng.integers(5, 20)
        found[np.hypot(row - r, col - c) < size] = 1
    found[row + col < 60] = 255
    return found


def make_product(folder, shares=(0.02, 0.1, 0.4), seed=0):
    """Writes a product of one tile per share; returns its folder."""
    from products import row_of

    from jointseg_jax.mapping.records.stac_records import write_records
    from jointseg_jax.rasters.contract import IGNORE
    from jointseg_jax.rasters.lattice import make_lattice
    from jointseg_jax.rasters.writer import Layout, write_raster

    network = types.SimpleNamespace(name="known", step=1, weights="ema")
    rows = {}
    for number, share in enumerate(shares):
        tile = f"50N_{number:04d}_0340"
        lattice = make_lattice("EPSG:32650", 500_000 + 1000 * number, 3_400_000, 1, *SHAPE)
        classes = classes_of(seed + number, share)
        files = {name: folder / "tiles" / tile / f"{name}.tif" for name in ("impervious", "image")}
        write_raster(files["impervious"], classes[..., None], Layout(lattice, "uint8", ("impervious",), IGNORE))
        bands = ("B04", "B03", "B02")
        picture = np.repeat((classes == 1)[..., None] * 60 + 80, 3, -1).astype(np.uint8)
        picture[..., 1] += (np.indices(SHAPE)[0] % 40).astype(np.uint8)
        write_raster(files["image"], picture, Layout(lattice, "uint8", bands, 0, rgb=True))
        rows[tile] = row_of(folder, network, tile, files, {})
    write_records(folder, rows, card(), title="Known ground", say=lambda line: None)
    return folder


def card():
    """A model card with what the records need of it."""
    about = {"title": "known", "description": "Made up.", "mlm:hyperparameters": {"step": 1, "weights": "ema"}}
    return {"type": "Feature", "id": "known-1", "properties": about, "assets": {}}
