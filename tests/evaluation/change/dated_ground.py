"""Ground whose states are known in four years, and the rasters that hold them."""

import numpy as np

from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage.folders import claim

LABELS = ("2017", "2019", "2021", "2023")
CHANGED = (slice(60, 120), slice(80, 200))  # rows and columns that change, as often as `CODES` says
CODES = ("0001", "0011", "0111", "1100")


def true_states(height, width):
    """Towns that stay, and a band of pixels of each of `CODES`: uint8 [dates, height, width]."""
    rng = np.random.default_rng(3)
    states = np.repeat((rng.random((1, height // 20, width // 20)) < 0.4).astype(np.uint8), 4, 0)
    states = states.repeat(20, 1).repeat(20, 2)
    for band, code in enumerate(CODES):
        rows = slice(CHANGED[0].start + 15 * band, CHANGED[0].start + 15 * (band + 1))
        states[:, rows, CHANGED[1]] = np.array([int(c) for c in code], np.uint8)[:, None, None]
    return states


def write_labels(path, values):
    """Replaces the raster of a site's labels."""
    lattice = read_header(path).lattice
    path.unlink()
    write_raster(path, values[..., None], Layout(lattice, "uint8", ("label",), 255))


def write_states(folder, epsg, left, top, states):
    """A monitor's raster of states, as far as readers need it."""
    lattice = make_lattice(f"EPSG:{epsg}", left, top, 1, *states.shape[1:])
    path = folder / "states.tif"
    write_raster(path, np.moveaxis(states, 0, -1), Layout(lattice, "uint8", LABELS, 255))
    return path


def write_map(folder, left, top, probabilities):
    """The map of one scene, as far as monitor.py reads it: float32 [rows, cols], NaN for nodata."""
    network = f"toy, step 5, ema weights {'ab' * 6}, temperature 1, threshold 0.5"
    run = {"network": network, "radiometry": "contract", "augment": "False", "dtype": "None"}
    known = np.isfinite(probabilities)
    stored = np.where(known, np.round(200 * np.where(known, probabilities, 0)), 255).astype(np.uint8)
    with claim(folder, "map of a scene", run=run, names=("probability.tif",)):
        lattice = make_lattice("EPSG:32650", left, top, 1, *stored.shape)
        write_raster(folder / "probability.tif", stored[..., None], Layout(lattice, "uint8", ("probability",), 255))
    return folder
