"""The predictor: one jitted function of fixed shape, run over a scene tile by tile.

A tile is read with a halo, run, and cropped. Beyond the scene's edge and in nodata holes the input is invalid, which
the network sees as the training mean. The result equals one run over the whole scene extended by the halo. Reading,
computing and the caller's work on tiles overlap, each in its own thread.
"""

import functools
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor import not_finite
from jointseg_jax.mapping.predictor.flips import MEMBERS, mean_and_spread, turn, turn_back
from jointseg_jax.mapping.predictor.tiles import Clock, Inputs, Readable, Tile, cores
from jointseg_jax.models.jointseg import JointSeg, Params, image_support, run
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, warm_drivers
from jointseg_jax.storage.read_ahead import ahead
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.devices.compilation_cache import announced
from jointseg_jax.training.trained import Trained

DEFAULT_TILE = 64  # coarse pixels
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
Fine = tuple[np.ndarray, np.ndarray] | None


@functools.partial(jax.jit, static_argnames=("model", "halo", "images", "support"))
def predict_tiles(
    model: JointSeg,
    params: Params,
    temperature: jax.Array,
    modalities: Any,
    image: tuple[jax.Array, jax.Array] | None,
    *,
    halo: int,
    images: bool,
    support: bool = False,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Computes probabilities and stage images of a batch of tiles, with the halo cropped.

    Args:
        model: the network.
        params: its weights.
        temperature: of the calibration, scalar.
        modalities: name -> values `[b, dates, h, w, bands]`, valid `[b, dates, h, w]`.
        image: for the control "fine" its values `[b, 10h, 10w, 3]` and valid `[b, 10h, 10w]`, otherwise None.
        halo: coarse pixels to crop on every side.
        images: whether to return stage images.
        support: whether to return, behind them, the support of the last one.

    Returns:
        Probability `[b, 10(h - 2 halo), 10(w - 2 halo)]` float32, and the images, cropped to the same ground.
    """
    outputs = run(model, params, modalities, *(image or ()))
    probability = jax.nn.sigmoid((outputs.logits[..., 1] - outputs.logits[..., 0]) / temperature)
    found = []
    for picture, spacing in zip(outputs.images if images else (), outputs.spacings, strict=False):
        found.append(_crop(picture, int(halo * 10 / spacing)))
    if support:
        found.append(_crop(image_support(model, outputs), halo * FINE_FACTOR))
    return _crop(probability, halo * FINE_FACTOR), tuple(found)


def _crop(x: jax.Array, pixels: int) -> jax.Array:
    return x[:, pixels : x.shape[1] - pixels, pixels : x.shape[2] - pixels]


Outcome = tuple[jax.Array, jax.Array | None, tuple[jax.Array, ...]]  # probability, spread, images of a batch


@jax.jit
def combine_members(members: Sequence[tuple[jax.Array, tuple[jax.Array, ...]]]) -> Outcome:
    """Mean and spread of the probabilities, and mean images, of the eight members in the order of `flips.turn`."""
    upright = [jax.tree.map(lambda x, k=k: turn_back(x, k, 1), member) for k, member in enumerate(members)]
    probability, spread = mean_and_spread([p for p, _ in upright])
    images = tuple(mean_and_spread(pictures)[0] for pictures in zip(*(i for _, i in upright), strict=True))
    return probability, spread, images


class Predictor:
    """Runs a trained network over scenes.

    Attributes:
        trained: the network.
        halo: coarse pixels read around each tile.
        tile: side of a tile's core in coarse pixels; it changes speed and memory, not the map.
        batch: tiles per run, sharded over the largest number of this process's devices that divides it. None means one
            tile per accelerator, or one on CPUs, whose cores share a tile.
        images: whether to return the super-resolved images.
        support: whether to return how much of the 1 m image is measured, see `models.support`; needs an SR branch.
        augment: average over the eight flips and quarter turns of the input, at eight times the computation.
        dtype: "float32" or "bfloat16" for the computation; None for the type used in training.
        precision: of matrix products, as in `jax.default_matmul_precision`; None for the default.
        mesh: the devices it runs on.
        params: the weights, on these devices.
        temperature: of the calibration, on these devices.
    """

    def __init__(
        self,
        trained: Trained,
        halo: int,
        *,
        tile: int = DEFAULT_TILE,
        batch: int | None = None,
        images: bool = True,
        support: bool = False,
        augment: bool = False,
        dtype: str | None = None,
        precision: str | None = None,
    ):
        if batch is None:
            batch = 1 if jax.default_backend() == "cpu" else jax.local_device_count()
        bounds.TILE.check("--tile", tile)
        bounds.BATCH.check("--batch", batch)
        bounds.HALO.check("halo", halo)
        if dtype is not None and dtype not in DTYPES:
            raise InputError(f"--dtype={dtype} must be one of {', '.join(DTYPES)}")
        self.trained, self.halo, self.tile, self.batch = trained, halo, tile, batch
        if support and not trained.model.has_sr:
            raise InputError(
                f"the network {trained.name} has no super-resolved image whose support could be judged (control "
                f"{trained.model.control!r}): map without --support"
            )
        self.images, self.support, self.augment = images, support, augment
        self.model: JointSeg = trained.model if dtype is None else trained.model.clone(dtype=DTYPES[dtype])
        self.dtype, self.precision = jnp.dtype(self.model.dtype).name, precision
        self.mesh = parallel.local_mesh(batch)
        whole = parallel.replicated(self.mesh)
        self.params = jax.device_put(trained.params, whole)
        self.temperature = jax.device_put(np.float32(trained.meta.calibration.temperature), whole)

    def run(self, scene: Readable, clock: Clock | None = None) -> Generator[Tile, None, None]:
        """Yields the tiles of a scene, row by row.

        Raises:
            InputError: a file is damaged, or the control "fine" meets a scene without a 1 m image.
        """
        yield from self.run_windows(scene, cores(*scene.shape, self.tile), clock)

    def run_windows(
        self, scene: Readable, windows: Sequence[Window], clock: Clock | None = None
    ) -> Generator[Tile, None, None]:
        """Yields the tiles of chosen cores, none larger than `tile`; see `run`."""
        clock = clock or Clock()
        warm_drivers()
        with closing(ahead(self._computed(scene, windows, clock))) as batches:
            for at, valid, outcome in batches:
                with clock.time("write"):
                    probability, spread, images = jax.device_get(outcome)
                    if not np.isfinite(probability).all():
                        raise self._not_finite(scene, at)
                supports = images[-1] if self.support else None
                images = images[:-1] if self.support else images
                for i, window in enumerate(at):
                    yield Tile(
                        window,
                        _corner(probability[i], window, FINE_FACTOR),
                        valid[i, : window.height, : window.width],
                        tuple(_corner(image[i], window, image.shape[1] // self.tile) for image in images),
                        None if spread is None else _corner(spread[i], window, FINE_FACTOR),
                        None if supports is None else _corner(supports[i, ..., 0], window, FINE_FACTOR),
                    )

    def _not_finite(self, scene: Readable, at: Sequence[Window]) -> InputError:
        handles = Handles()
        inputs, _ = self.read(scene, at, handles)
        handles.close()
        network = f"{self.trained.workdir}, step {self.trained.step}"
        return not_finite.explain(scene.name, inputs, self.trained.meta.contract, at[0], network)

    def _computed(
        self, scene: Readable, windows: Sequence[Window], clock: Clock
    ) -> Generator[tuple[Sequence[Window], np.ndarray, Outcome], None, None]:
        with closing(ahead(self._loaded(scene, windows, clock))) as batches:
            for number, (at, valid, members) in enumerate(batches):
                compiling = nullcontext() if number else announced("the network for the map's windows")
                with clock.time("compute"), compiling:
                    outcome = jax.block_until_ready(self._outcome(members))
                del members  # frees device memory while this batch waits
                yield at, valid, outcome
                del outcome

    def _loaded(
        self, scene: Readable, windows: Sequence[Window], clock: Clock
    ) -> Generator[tuple[Sequence[Window], np.ndarray, list[tuple[Any, Any]]], None, None]:
        """Yields batches on the devices, each as one input or as eight members, and the validity of their cores."""
        handles = Handles()
        primary, core = scene.contract.primary.name, slice(self.halo, self.halo + self.tile)
        spread_out = parallel.over_samples(self.mesh)
        try:
            for begin in range(0, len(windows), self.batch):
                at = windows[begin : begin + self.batch]
                with clock.time("read"):
                    inputs, fine = self.read(scene, at, handles)
                    valid = np.any(inputs[primary]["valid"], axis=1)[:, core, core]
                    members = [
                        jax.device_put(_turned(inputs, fine, k), spread_out)
                        for k in range(MEMBERS if self.augment else 1)
                    ]
                yield at, valid, members
                del members
        finally:
            handles.close()

    def _outcome(self, members: Sequence[tuple[Any, Any]]) -> Outcome:
        results = [self._forward(inputs, fine) for inputs, fine in members]
        if self.augment:
            return cast(Outcome, combine_members(results))
        probability, images = results[0]
        return probability, None, images

    def _forward(self, inputs: Any, fine: Any) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        # Set here, because this setting is thread-local.
        with jax.default_matmul_precision(self.precision) if self.precision else nullcontext():
            return predict_tiles(
                self.model,
                self.params,
                self.temperature,
                inputs,
                fine,
                halo=self.halo,
                images=self.images,
                support=self.support,
            )

    def read(self, scene: Readable, windows: Sequence[Window], handles: Handles) -> tuple[Inputs, Fine]:
        """Reads the network's input for some tiles, always `batch` of them.

        A short last batch is filled with invalid input.
        """
        full = [Window(w.row, w.col, self.tile, self.tile).pad(self.halo) for w in windows]
        parts = [scene.read(w, handles) for w in full]
        padding = self.batch - len(parts)
        inputs = {
            name: {
                key: np.concatenate(
                    [np.stack([p[name][key] for p in parts]), np.zeros((padding, *first.shape), first.dtype)]
                )
                for key, first in parts[0][name].items()
            }
            for name in parts[0]
        }
        if self.trained.model.control != "fine":
            return inputs, None
        if scene.image is None:
            raise InputError(
                f"scene {scene.name!r} has no 1 m image, which the control 'fine' segments: map with another network, "
                "or run jointseg evaluate on a prepared dataset"
            )
        read = [scene.image.read(w.scale(FINE_FACTOR), handles) for w in full]
        image, valid = np.stack([image for image, _ in read]), np.stack([valid for _, valid in read])
        empty = ((0, padding), (0, 0), (0, 0))
        return inputs, (np.pad(image, (*empty, (0, 0))), np.pad(valid, empty))


def _turned(inputs: Inputs, fine: Fine, member: int) -> tuple[Inputs, Fine]:
    """One of the eight members of a batch; rows are axis 2 of the inputs and axis 1 of the 1 m image."""
    turned = jax.tree.map(lambda x: np.ascontiguousarray(turn(x, member, 2)), inputs)
    return turned, jax.tree.map(lambda x: np.ascontiguousarray(turn(x, member, 1)), fine)


def _corner(x: np.ndarray, window: Window, factor: int) -> np.ndarray:
    """The part of a full tile that lies inside the scene; x is `factor` times finer than the window."""
    return x[: window.height * factor, : window.width * factor]
