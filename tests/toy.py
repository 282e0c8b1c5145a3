"""Small made-up rasters and a tiny network, for tests that need no scenery."""

import math
import pathlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import rasterio
from ml_collections import ConfigDict
from scipy import ndimage

from jointseg_jax.configs import common
from jointseg_jax.data import site_record
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage import formats

CRS = "EPSG:32650"
LEFT, TOP = 500040.0, 3400020.0  # multiples of 60 m, not of 100 m
# Of a product whose tile the sites lie in: latitude, longitude in turn.
FOOTPRINT = "<EXT_POS_LIST>29.8 116.9 31.2 116.9 31.2 118.2 29.8 118.2 29.8 116.9</EXT_POS_LIST>"


def ground(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A 1 m image in 0..1 [10h, 10w, 3] and its label: bright rectangles and a road on textured ground."""
    rng = np.random.default_rng(seed)
    fine = (10 * height, 10 * width)
    texture = ndimage.gaussian_filter(rng.standard_normal((*fine, 3)), (6, 6, 0)) * 0.6
    image = np.clip(0.25 + texture, 0.02, 0.6)
    label = np.zeros(fine, np.uint8)
    for _ in range(height * width // 12):
        row, col = rng.integers(0, fine[0] - 12), rng.integers(0, fine[1] - 12)
        tall, wide = rng.integers(6, 30, 2)
        label[row : row + tall, col : col + wide] = 1
    road = int(rng.integers(10, fine[0] - 20))
    label[road : road + 8] = 1
    image[label == 1] = rng.uniform(0.5, 0.9) + rng.standard_normal((int(label.sum()), 3)) * 0.03
    return np.clip(image, 0.01, 0.98).astype(np.float32), label


def write_site(folder: pathlib.Path, seed: int, height: int = 36, width: int = 42) -> None:
    """All rasters of one site, `height` x `width` input pixels (multiples of 6)."""
    image, label = ground(seed, height, width)
    coarse = make_lattice(CRS, LEFT + 600 * seed, TOP, 10, height, width)
    fine = make_lattice(CRS, LEFT + 600 * seed, TOP, 1, 10 * height, 10 * width)
    twenty = make_lattice(CRS, LEFT + 600 * seed, TOP, 20, height // 2, width // 2)
    rng = np.random.default_rng(seed + 100)
    mean = image.reshape(height, 10, width, 10, 3).mean((1, 3))
    share = label.reshape(height, 10, width, 10).mean((1, 3))
    reflectance = np.stack([mean[..., 2], mean[..., 1], mean[..., 0], 0.4 - 0.2 * share], -1) * 0.5
    dn = np.round(reflectance * 10000 + 1000).astype(np.uint16)
    dn[:2, :3] = 0  # a nodata corner
    tags = {"RADIO_ADD_OFFSET": -1000}
    write_raster(folder / "s2.tif", dn, Layout(coarse, "uint16", ("B02", "B03", "B04", "B08"), 0, tags))
    swir = reflectance[..., 3:].reshape(height // 2, 2, width // 2, 2, 1).mean((1, 3))
    swir = np.round(np.concatenate([swir, swir * 0.7], -1) * 10000 + 1000).astype(np.uint16)
    write_raster(folder / "s2_20m.tif", swir, Layout(twenty, "uint16", ("B11", "B12"), 0, tags))
    backscatter = np.stack([-12 + 6 * share, -18 + 6 * share], -1) + rng.standard_normal((height, width, 2))
    write_raster(folder / "s1.tif", backscatter.astype(np.float32), Layout(coarse, "float32", ("VV", "VH"), np.nan))
    dem = np.add.outer(np.arange(height), np.arange(width))[..., None].astype(np.float32)
    write_raster(folder / "dem.tif", dem, Layout(coarse, "float32", ("elevation",), np.nan))
    scl = np.full((height // 2, width // 2), 4, np.uint8)
    scl[-2:, -3:] = 9  # a cloud
    write_raster(folder / "scl.tif", scl, Layout(twenty, "uint8", ("SCL",), 0))
    stretched = np.round(image * 250 + 2).astype(np.uint8)
    write_raster(folder / "image.tif", stretched, Layout(fine, "uint8", ("R", "G", "B"), rgb=True))
    write_raster(folder / "label.tif", label, Layout(fine, "uint8", ("label",), 255))


def write_table(root: pathlib.Path, height: int = 36, width: int = 42, names: str = "abcd") -> None:
    """Sites in two regions, each of `height` x `width` input pixels, and the table that lists them."""
    rows = []
    for seed, name in enumerate(names):
        write_site(root / name, seed, height, width)
        rows.append({"site": name, "region": "north" if seed % 2 else "south", "date": "2021-06-01", "folder": name})
    pd.DataFrame(rows).to_csv(root / "sites.csv", index=False)


def network(stages: str = "4x2.5", **changes: object) -> ConfigDict:
    """A network of a few thousand parameters."""
    config = common.model(stages, blocks=(1, 1), features=6, growth=4, tail=4, finest_trunk=5.0)
    config.lattices = ("1", "5", "10")
    config.widths = (4, 6, 8)
    config.dilations = (1, 2)
    config.subpixel = False  # with random weights it would spoil the images; test_networks has it
    config.update(changes)
    return config


def config(raw: pathlib.Path, dataset: pathlib.Path) -> ConfigDict:
    """An experiment on the toy sites: two to train, one to validate, one to test."""
    made = common.experiment("toy")
    made.dataset = common.dataset("toy")
    d = made.dataset
    d.path = str(dataset)
    d.source.root = str(raw)
    d.source.layers = ConfigDict(common.SENTINEL2_FILES)
    d.source.cloud = ("scl.tif",)
    d.modalities = common.sentinel2()
    d.inputs = ("s2", "s2_20m", "s1", "dem")
    d.patch = 12
    d.stride = 6
    d.split.table.train = ("a", "b")
    d.split.table.validation = ("c",)
    d.split.table.test = ("d",)
    made.model = network()
    made.data.batch = 8
    made.steps = 4
    made.log_every = 1
    made.validate_every = 2
    made.checkpoint_every = 2
    made.panels = 2
    made.optimizer.learning_rate = 4e-3
    made.optimizer.schedule = "constant"
    made.optimizer.warmup = 0
    return made


def drawn(path, shape, rng: np.random.Generator, strength: float, gain: float) -> np.ndarray:
    """A random parameter on the host, of which nothing is zero; an initialiser would be compiled, slowly.

    A kernel has the variance gain / fan in, as its initialiser gives it, and every parameter that of `strength`.
    """
    name = path[-1].key
    spread = math.sqrt(gain / math.prod(shape.shape[-4:-1])) if name.startswith("kernel") else 0.0
    return rng.normal(name == "scale", math.hypot(strength, spread), shape.shape).astype(shape.dtype)


def weights(model, seed: int = 0, strength: float = 0.12) -> dict:
    """Strong random parameters of a network."""
    import jax

    from jointseg_jax.models.jointseg import init_params

    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(lambda path, shape: drawn(path, shape, rng, strength, 1 / 3), shapes)


def batch(reader, count: int) -> dict:
    """The first `count` patches of a reader, stacked."""
    from jointseg_jax.data.patches import stack

    return stack([reader.read(i % len(reader)) for i in range(count)])


def scenes(root: pathlib.Path, dataset: pathlib.Path, **changes: str) -> ConfigDict:
    """Writes three scenes unless they exist, and returns an experiment on their simulated input."""
    from jointseg_jax.configs import scenes as config

    for seed, name in enumerate(("one", "two", "three")):
        if (root / name).exists():
            continue
        image, label = ground(seed, 24, 24)
        fine = make_lattice(CRS, LEFT + 300 * seed, TOP, 1, 240, 240)
        stretched = np.round(image * 250).astype(np.uint8)
        write_raster(root / name / "image.tif", stretched, Layout(fine, "uint8", ("R", "G", "B"), rgb=True))
        cover = np.where(label, 3, 4).astype(np.uint8)
        write_raster(root / name / "landcover.tif", cover, Layout(fine, "uint8", ("c",)))
    made = config.get_config(",".join(f"{k}={v}" for k, v in {"root": str(root), **changes}.items()))
    made.dataset.path = str(dataset)
    made.dataset.patch, made.dataset.stride = 12, 6
    made.dataset.split.table = ConfigDict({"train": ("one",), "validation": ("two",), "test": ("three",)})
    made.model = network(control=made.model.control)
    made.data.batch = 4
    return made


def edit_dataset(root: pathlib.Path, change: Callable[[dict], None]) -> None:
    """Changes what `dataset.json` says, as `prepare` would have written it."""
    path = root / "dataset.json"
    description = formats.read_record(path, formats.DATASET)
    change(description)
    formats.write_record(path, description, formats.DATASET)


def reseal(root: pathlib.Path) -> None:
    """Takes the rasters of a prepared dataset for what was written: its digests fit again."""

    def change(description: dict) -> None:
        for site in description["sites"]:
            site["files"] = site_record.digests(root / "sites" / site["name"])

    edit_dataset(root, change)


def quiet(_: str) -> None:
    """Says nothing."""


def keep_only(config: ConfigDict, *names: str) -> None:
    """Leaves some sites in a dataset config, all of them for training."""
    config.source.only = names
    config.split.table.train = names
    config.split.table.validation = config.split.table.test = ()


def rewrite(
    path,
    *,
    dtype=None,
    crs=None,
    drop=0,
    start=0,
    bands=None,
    transform=None,
    values=None,
    nodata=...,
    keep_tags=True,
    **tags,
):
    """Writes a raster anew with something changed; `nodata=None` takes the nodata value away.

    `start` and `drop` cut so many rows and columns off its beginning and end.
    """
    with rasterio.open(path) as raster:
        stack, profile, names, old = raster.read(), raster.profile, raster.descriptions, raster.tags()
    if values is not None:
        stack = values(stack)
    if bands is not None:
        stack, names = stack[: len(bands)], bands
    if drop:
        stack = stack[:, :-drop, :-drop]
    if start:
        stack = stack[:, start:, start:]
        profile["transform"] = profile["transform"] * rasterio.Affine.translation(start, start)
    profile.update(count=len(stack), height=stack.shape[1], width=stack.shape[2])
    profile.update({k: v for k, v in {"dtype": dtype, "crs": crs, "transform": transform}.items() if v is not None})
    if nodata is not ...:
        profile["nodata"] = nodata
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(stack.astype(profile["dtype"]))
        raster.descriptions = tuple(names)
        raster.update_tags(**{**(old if keep_tags else {}), **tags})
