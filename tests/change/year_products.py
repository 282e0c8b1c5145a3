"""Writes the product of one year from probabilities, and the scene it was mapped from, as predict.py would have."""

import dataclasses
import pathlib
import shutil

import numpy as np
import shapely
from scipy import ndimage

from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.partition import partition, with_scenes
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.scene import Layer, Scene
from jointseg_jax.rasters.writer import Layout, cog_writer, write_raster

EPSG, GRID = 32650, 640
SETTINGS = Settings(0, prior=0.5)  # the readings are calibrated for even priors
LEFT, TOP = 781 * GRID, 5312 * GRID  # corners of squares
HIGH, WIDE = GRID, 2 * GRID  # metres: two tiles
MODALITY = Modality("s2", ("B02", "B03", "B04", "B08"), 10.0, "uint16", "reflectance", 0, 1e-4)
CONTRACT = Contract((MODALITY,), ("B04", "B03", "B02"))
NETWORK = {"name": "toy", "step": 5, "weights": "ema", "sha256": "ab" * 32}
YEARS = ("2017", "2019", "2021", "2023")


def truth(growth: bool = True) -> np.ndarray:
    """States of the four years, uint8 [4, HIGH, WIDE]: buildings, of which every fifth appears later."""
    rng = np.random.default_rng(5)
    states = np.zeros((4, HIGH, WIDE), np.uint8)
    for number in range(240):
        row, col = rng.integers(0, HIGH - 30), rng.integers(0, WIDE - 30)
        tall, wide = rng.integers(10, 30, 2)
        since = int(rng.integers(1, 4)) if growth and number % 5 == 0 else 0
        states[since:, row : row + tall, col : col + wide] = 1
    return states


def readings(states: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities as a network gives them: sure inside, doubtful at edges, here and there wrong. float32."""
    rng = np.random.default_rng(seed)
    found = []
    for state in states:
        soft = ndimage.gaussian_filter(state.astype(np.float32), 1.2)
        noise = ndimage.gaussian_filter(rng.standard_normal(state.shape), 2) * 4.0
        found.append(1 / (1 + np.exp(-(14 * (soft - 0.5) + noise))))
    return np.stack(found).astype(np.float32)


def scene_of(state: np.ndarray, seed: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The 10 m input of a state, uint16 [HIGH / 10, WIDE / 10, 4]: bright roofs, fields, moved by whole metres."""
    rng = np.random.default_rng(7)  # fields stay
    field = ndimage.gaussian_filter(rng.standard_normal(state.shape), 8) * 0.4
    image = np.where(state == 1, 0.35, 0.12 + field * 0.1)
    image = np.roll(image, shift, (0, 1))
    coarse = image.reshape(HIGH // 10, 10, WIDE // 10, 10).mean((1, 3))
    noise = np.random.default_rng(seed).normal(0, 0.002, coarse.shape)
    values = np.clip(coarse + noise, 0.01, 1)
    return np.round(np.stack([values, values, values, 0.5 - values], -1) * 1e4).astype(np.uint16)


def write_year(
    folder: pathlib.Path,
    year: str,
    probabilities: np.ndarray,
    image: np.ndarray | None = None,
    settings: product_plan.Settings | None = None,
    leave_out: tuple[int, ...] = (),
) -> pathlib.Path:
    """Writes a product; [HIGH, WIDE] probabilities with NaN, and the scene if its image [h, w, 4] is given."""
    settings = settings or product_plan.Settings(grid=GRID, halo=3)
    lattice = make_lattice(f"EPSG:{EPSG}", LEFT, TOP, 10, HIGH // 10, WIDE // 10)
    path = (folder.parent / f"scene-{year}.tif").absolute()
    if image is None:
        image = np.full((HIGH // 10, WIDE // 10, 4), 1000, np.uint16)
    write_raster(path, image, Layout(lattice, "uint16", MODALITY.bands, 0))
    scene = Scene(f"S2_{year}", lattice, {"s2": (Layer(str(path), (1, 2, 3, 4), MODALITY),)}, CONTRACT)
    stamps = ((str(path), path.stat().st_size, path.stat().st_mtime_ns),)
    entry = CatalogueScene(
        scene.name, scene, {"radiometry": "contract"}, np.ones((8, 8), bool), f"{year}-06-01", 1.0, stamps
    )
    zone = zone_of_epsg(EPSG)
    ground = to_degrees(shapely.box(LEFT + 1, TOP - HIGH + 1, LEFT + WIDE - 1, TOP - 1), zone)
    tiles = with_scenes(list(partition(ground, GRID)), [entry], 30)
    plan = product_plan.Plan(tuple(tiles), settings, NETWORK, {})
    product_plan.save(folder, plan, [entry], "key")
    ledger = Ledger(folder / product_plan.LEDGER, folder)
    for number, tile in enumerate(tiles):
        if number in leave_out:
            continue
        row, col = round(TOP - tile.top), round(tile.left - LEFT)
        size = round(tile.top - tile.bottom), round(tile.right - tile.left)
        part = probabilities[row : row + size[0], col : col + size[1]]
        files = _rasters(folder / "tiles" / tile.zone.name / tile.name, tile, part)
        when = f"{year}-06-01T00:00:00Z"
        ledger.add(
            tile.name,
            {
                "tile": tile.name, "epsg": EPSG, "bounds": [tile.left, tile.bottom, tile.right, tile.top],
                "datetime": when, "scenes": [{"id": scene.name, "datetime": when, "share": 1.0}],
                "owned_m2": tile.owned_m2, "valid_m2": tile.owned_m2 * float(np.isfinite(part).mean()),
                "impervious_m2": tile.owned_m2 * float((part >= 0.5).mean()), "decisions": {},
                "agreement": [], "model": NETWORK, "seconds": {},
            },
            files,
        )  # fmt: skip
    return folder


def _rasters(folder, tile, part):
    fine = make_lattice(f"EPSG:{EPSG}", tile.left, tile.top, 1, *part.shape)
    known = np.isfinite(part)
    stored = {
        "probability": np.where(known, np.round(200 * np.where(known, part, 0)), 255),
        "impervious": np.where(known, part >= 0.5, 255),
    }
    files = {}
    for name, values in stored.items():
        files[name] = folder / f"{name}.tif"
        layout = Layout(fine, "uint8", (name,), 255, {"THRESHOLD": 0.5})
        with cog_writer(files[name], layout, overviews="average") as writer:
            writer.write(values.astype(np.uint8), Window(0, 0, *part.shape))
    return files


def write_scene_map(folder: pathlib.Path, probabilities: np.ndarray) -> pathlib.Path:
    """The map of one scene, as `map_scene` leaves its probabilities."""
    from jointseg_jax.storage.folders import claim

    network = f"toy, step 5, ema weights {'ab' * 6}, temperature 1, threshold 0.5"
    run = {"network": network, "radiometry": "contract", "augment": "False", "dtype": "None"}
    fine = make_lattice(f"EPSG:{EPSG}", LEFT, TOP, 1, HIGH, WIDE)
    known = np.isfinite(probabilities)
    stored = np.where(known, np.round(200 * np.where(known, probabilities, 0)), 255).astype(np.uint8)
    with claim(folder, "map of a scene", run=run, names=("probability.tif",)):
        layout = Layout(fine, "uint8", ("probability",), 255, {"THRESHOLD": 0.5})
        with cog_writer(folder / "probability.tif", layout, overviews="average") as writer:
            writer.write(stored, Window(0, 0, HIGH, WIDE))
    return folder


def write_years(root: pathlib.Path, states: np.ndarray, shifts: dict[str, tuple[int, int]] | None = None):
    """The products of the four years below `root`; their folders by year. A shifted year shows ground moved so."""
    probabilities = readings(states)
    found = {}
    for k, year in enumerate(YEARS):
        shift = (shifts or {}).get(year, (0, 0))
        image = scene_of(states[k], k, shift)
        moved = np.roll(probabilities[k], shift, (0, 1))
        found[year] = write_year(root / year, year, moved, image)
    return found


def copied(folders, root):
    """Copies of products, whose scenes stay where they are."""
    for year, folder in folders.items():
        shutil.copytree(folder, root / year)
    return {year: root / year for year in folders}


def with_settings(**changes):
    """The settings of a year that was mapped in another way."""
    return dataclasses.replace(product_plan.Settings(grid=GRID, halo=3), **changes)
