"""Maps one opened scene; `jointseg predict` runs it."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import tqdm

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import fitted
from jointseg_jax.mapping.predictor.uncertainty import measured_for, stored_digest
from jointseg_jax.mapping.predictor.weights import described
from jointseg_jax.mapping.product.write import FILES, Product, write_product
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.scene import OpenedScene, Scene, in_words
from jointseg_jax.rasters.stamps import contents_of
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.trained import Trained


def map_scene(
    trained: Trained,
    opened: OpenedScene,
    folder: str | os.PathLike[str],
    *,
    tile: int = 64,
    batch: int | None = None,
    augment: bool = False,
    confidence: bool = False,
    support: bool = False,
    uncertainty: bool = False,
    dtype: str | None = None,
    image: bool = True,
    say: Callable[[str], None] = print,
) -> Product:
    """Maps a scene and reports what the map holds.

    Args:
        trained: the network.
        opened: the scene, opened under the network's contract, see `open_scene`.
        folder: for the product.
        tile: core size in coarse pixels.
        batch: see `Predictor`.
        augment: see `Predictor`.
        confidence: whether to write the confidence, see `write_product`.
        support: whether to write the support of the super-resolved image, see `write_product`.
        uncertainty: whether to write sets, intervals and dissimilarity, see `write_product`.
        dtype: see `Predictor`.
        image: whether to write the super-resolved image.
        say: receives the lines of the report.

    Raises:
        InputError: the scene is unreadable, or the folder holds other files or another run.
        StorageError: the disk is full.
    """
    folder = pathlib.Path(folder)
    scene = opened.scene
    path = opened.path or pathlib.Path(scene.name)
    bounds.TILE.check("--tile", tile)
    tile, batch = fitted(tile, batch, *scene.shape)
    settings = {**opened.asked, "augment": augment, "confidence": confidence, "dtype": dtype, "image": image}
    run = {
        "network": described(trained),
        "scene": f"{remote.bare(path).name}, contents {contents_of(opened.stamps)[:12]}",
        **{name: str(value) for name, value in settings.items()},
        **({"support": "True"} if support else {}),  # maps without it are those of earlier versions
        **({"uncertainty": stored_digest(trained)} if uncertainty else {}),
    }
    read = [path, *(pathlib.Path(file) for file, *_ in opened.stamps)]
    with claim(folder, "map of a scene", run=run, names=FILES, inputs=read), tile_bar() as advance:
        _report_scene(path, opened, say)
        halo = halo_for(trained, scene, say=say)
        predictor = Predictor(
            trained, halo, tile=tile, batch=batch, images=image, support=support, augment=augment, dtype=dtype
        )
        dates = opened.asked.get("dates")
        record = measured_for(predictor, None if dates is None else int(dates)) if uncertainty else None
        check_room(predictor, dates=scene.dates)
        _report_network(predictor, say)
        product = write_product(
            predictor, scene, folder, opened.decisions, advance, confidence=confidence, uncertainty=record
        )
    _report_map(product, scene, trained.meta.contract.label, say)
    return product


def _report_scene(path: pathlib.Path, opened: OpenedScene, say: Callable[[str], None]) -> None:
    height, width = opened.scene.shape
    say(f"scene   {path}: {width} x {height} input pixels; {in_words(opened.decisions)}")


def _report_network(predictor: Predictor, say: Callable[[str], None]) -> None:
    trained = predictor.trained
    say(
        f"network {trained.name}, step {trained.step}, {trained.weights} weights; windows of {predictor.tile} input "
        f"pixels, halo {predictor.halo}"
    )


def _report_map(product: Product, scene: Scene, label: str, say: Callable[[str], None]) -> None:
    height, width = scene.shape
    nodata = 1 - product.valid_pixels / (height * width * FINE_FACTOR**2)
    share = product.impervious_pixels / product.valid_pixels if product.valid_pixels else 0.0
    say(f"map     {share:.1%} of the valid area is {label}, {nodata:.1%} of the scene is nodata")
    for name, file in product.files.items():
        say(f"{name:<14}{file}")


@contextlib.contextmanager
def tile_bar(shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Shows a progress bar of tiles; yields what takes the numbers of finished tiles and of all tiles.

    The bar begins with the first finished tile, because measuring the halo shows a bar of its own before.
    """
    with contextlib.ExitStack() as stack:
        bar: tqdm.tqdm | None = None

        def advance(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                interval = 0.5 if sys.stderr.isatty() else 15
                bar = stack.enter_context(tqdm.tqdm(total=total, unit="tile", mininterval=interval, disable=not shown))
            bar.update(done - bar.n)

        yield advance
