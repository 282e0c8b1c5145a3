"""The predictor: one jitted function of fixed shape, run over a scene tile by tile.

A tile is read with a halo, run, and cropped. Beyond the scene's edge and in nodata holes the input is invalid, which
the network sees as the training mean: exactly what it would see of the whole scene extended by the halo and run at
once.
"""

import dataclasses
import functools
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import JointSeg, run
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.training.state import Params
from jointseg_jax.training.trained import Trained

DEFAULT_TILE = 64  # coarse pixels


@dataclasses.dataclass(frozen=True)
class Tile:
    """The map of one tile.

    Attributes:
        window: its core on the 10 m lattice, inside the scene.
        probability: calibrated probability of the impervious class, float32 `[10h, 10w]`.
        valid: bool `[h, w]`: the first modality is valid there.
        images: one per stage, float32 `[h_k, w_k, 3]` in the units of the input; empty without an SR branch.
    """

    window: Window
    probability: np.ndarray
    valid: np.ndarray
    images: tuple[np.ndarray, ...]

    @property
    def fine_valid(self) -> np.ndarray:
        """`valid` at 1 m, bool `[10h, 10w]`."""
        return np.repeat(np.repeat(self.valid, FINE_FACTOR, 0), FINE_FACTOR, 1)


def cores(height: int, width: int, tile: int) -> list[Window]:
    """The cores that cover a scene of height x width, row by row; the last of a row or column may be smaller."""
    return [
        Window(row, col, min(tile, height - row), min(tile, width - col))
        for row in range(0, height, tile)
        for col in range(0, width, tile)
    ]


@functools.partial(jax.jit, static_argnames=("model", "halo", "images"))
def predict_tiles(
    model: JointSeg,
    params: Params,
    temperature: jax.Array,
    modalities: Any,
    image: tuple[jax.Array, jax.Array] | None,
    *,
    halo: int,
    images: bool,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Probabilities and stage images of a batch of tiles, cropped of their halo.

    Args:
        model: the network.
        params: its weights.
        temperature: of the calibration, scalar.
        modalities: name -> values `[b, dates, h, w, bands]`, valid `[b, dates, h, w]`.
        image: for the control "fine" its values `[b, 10h, 10w, 3]` and valid `[b, 10h, 10w]`, else None.
        halo: coarse pixels to crop on every side.
        images: whether stage images are wanted.

    Returns:
        Probability `[b, 10(h - 2 halo), 10(w - 2 halo)]` float32, and the images likewise.
    """
    outputs = run(model, params, modalities, *(image or ()))
    probability = jax.nn.sigmoid((outputs.logits[..., 1] - outputs.logits[..., 0]) / temperature)
    found = []
    for picture, spacing in zip(outputs.images if images else (), outputs.spacings, strict=False):
        found.append(_crop(picture, int(halo * 10 / spacing)))
    return _crop(probability, halo * FINE_FACTOR), tuple(found)


def _crop(x: jax.Array, pixels: int) -> jax.Array:
    return x[:, pixels : x.shape[1] - pixels, pixels : x.shape[2] - pixels]


class Predictor:
    """Runs a trained network over scenes.

    Attributes:
        trained: the network.
        halo: coarse pixels read around each tile.
        tile: side of a tile's core in coarse pixels; it changes speed and memory, not the map.
        batch: tiles run at once.
        images: whether to return the super-resolved images.
    """

    def __init__(self, trained: Trained, halo: int, *, tile: int = DEFAULT_TILE, batch: int = 1, images: bool = True):
        if tile < 1 or batch < 1 or halo < 0:
            raise InputError(f"tile {tile} and batch {batch} must be at least 1, the halo {halo} at least 0")
        self.trained, self.halo, self.tile, self.batch, self.images = trained, halo, tile, batch, images

    def run(self, scene: Scene) -> Generator[Tile, None, None]:
        """The tiles of a scene, row by row.

        Raises:
            InputError: a file is damaged, or the control "fine" meets a scene without a 1 m image.
        """
        yield from self.run_windows(scene, cores(*scene.shape, self.tile))

    def run_windows(self, scene: Scene, windows: Sequence[Window]) -> Generator[Tile, None, None]:
        """Chosen cores of a scene, none larger than `tile`; see `run`."""
        handles = Handles()
        try:
            for begin in range(0, len(windows), self.batch):
                yield from self._batch(scene, windows[begin : begin + self.batch], handles)
        finally:
            handles.close()

    def _batch(self, scene: Scene, windows: Sequence[Window], handles: Handles) -> Iterator[Tile]:
        inputs, fine = self.read(scene, windows, handles)
        temperature = jnp.float32(self.trained.meta.calibration.temperature)
        probability, images = jax.device_get(
            predict_tiles(
                self.trained.model, self.trained.params, temperature, inputs, fine, halo=self.halo, images=self.images
            )
        )
        primary = np.asarray(inputs[scene.contract.primary.name]["valid"].any(1))
        for i, window in enumerate(windows):
            yield Tile(
                window,
                _corner(probability[i], window, FINE_FACTOR),
                primary[i, self.halo : self.halo + window.height, self.halo : self.halo + window.width],
                tuple(_corner(image[i], window, image.shape[1] // self.tile) for image in images),
            )

    def read(
        self, scene: Scene, windows: Sequence[Window], handles: Handles
    ) -> tuple[dict[str, dict[str, np.ndarray]], tuple[np.ndarray, np.ndarray] | None]:
        """The network's input for some tiles, always `batch` of them.

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
                f"scene {scene.name!r} has no 1 m image, which the control 'fine' segments: it can only be run on "
                "a prepared dataset"
            )
        read = [scene.image.read(w.scale(FINE_FACTOR), handles) for w in full]
        image, valid = np.stack([image for image, _ in read]), np.stack([valid for _, valid in read])
        empty = ((0, padding), (0, 0), (0, 0))
        return inputs, (np.pad(image, (*empty, (0, 0))), np.pad(valid, empty))


def _corner(x: np.ndarray, window: Window, factor: int) -> np.ndarray:
    """The part of a full tile that lies inside the scene; x is `factor` times finer than the window."""
    return x[: window.height * factor, : window.width * factor]
