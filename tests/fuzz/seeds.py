"""What all kinds start from: a contract, a scene of 16 x 16 input pixels, a network of some hundred parameters."""

import dataclasses
import functools
import pathlib
import tempfile

import jax
import numpy as np
import toy

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.models.jointseg import init_params
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.trained import Trained

SIDE = 16
BANDS = ("B02", "B03", "B04", "B08")
HALO = 2


_base: list[pathlib.Path] = []


def use(folder: pathlib.Path) -> None:
    """Says where seeds are made; once, before the first."""
    _base[:] = [folder]


def room(name: str) -> pathlib.Path:
    """A new folder for a seed."""
    if not _base:
        _base.append(pathlib.Path(tempfile.mkdtemp(prefix="fuzz-")))
    folder = _base[0] / name
    folder.mkdir()
    return folder


@functools.cache
def numbers(seed: int = 7, side: int = SIDE) -> np.ndarray:
    """Digital numbers of a made-up Sentinel-2 scene that carry +1000, uint16 [side, side, 4]."""
    image, label = toy.ground(seed, side, side)
    mean = image.reshape(side, 10, side, 10, 3).mean((1, 3))
    share = label.reshape(side, 10, side, 10).mean((1, 3))
    reflectance = np.stack([mean[..., 2], mean[..., 1], mean[..., 0], 0.4 - 0.2 * share], -1) * 0.5
    found = np.round(reflectance * 10000 + 1000).astype(np.uint16)
    found.setflags(write=False)
    return found


@functools.cache
def contract() -> Contract:
    """Of a network that sees Sentinel-2 at 10 m only, with the statistics of such scenes."""
    values = np.concatenate([(numbers(s).reshape(-1, 4) - 1000.0) / 10000 for s in range(7, 11)])
    low, high = np.percentile(values, (0.1, 99.9), axis=0)
    parts = (values.mean(0), values.std(0), low, high)
    statistics = Statistics(*(tuple(float(v) for v in part) for part in parts))
    s2 = Modality("s2", BANDS, 10.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0, statistics)
    return Contract((s2,), ("B04", "B03", "B02"))


@functools.cache
def trained() -> Trained:
    """A tiny network with strong random weights that has no folder."""
    config = toy.network("10", control="bilinear")
    config.lattices, config.widths, config.dilations = ("1", "10"), (2, 4), (1,)
    model = build_model(config, contract())
    leaves, tree = jax.tree.flatten(jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
    rng = np.random.default_rng(0)
    params = jax.tree.unflatten(tree, [rng.normal(0, 0.3, x.shape).astype(np.float32) for x in leaves])
    plain = {"name": "fuzz", "loss": {"sr": 1.0}}
    meta = Meta(plain, contract(), Calibration(2.0, 0.45, 0), {"name": "", "index": ""})
    return Trained(pathlib.Path("nowhere"), 0, "ema", model, params, meta)


@functools.cache
def predictor() -> Predictor:
    """Maps a scene in one tile; compiled once."""
    return Predictor(trained(), HALO, tile=SIDE, batch=1, images=False)


@dataclasses.dataclass(frozen=True)
class InMemory:
    """What a scene should read as: the oracle's input."""

    values: np.ndarray
    valid: np.ndarray
    name: str = "truth"
    image: None = None
    own_units: bool = True

    @property
    def contract(self) -> Contract:
        """As of the network."""
        return contract()

    @property
    def shape(self) -> tuple[int, int]:
        """Of the 10 m lattice."""
        return self.valid.shape

    @property
    def lattice(self):
        """Any."""
        return make_lattice(toy.CRS, toy.LEFT, toy.TOP, 10, *self.valid.shape)

    def read(self, window: Window, handles) -> dict:
        """As `Scene.read`."""
        part = window.clip(*self.shape)
        values = np.zeros((1, window.height, window.width, self.values.shape[-1]), np.float32)
        valid = np.zeros((1, window.height, window.width), bool)
        target = Window(part.row - window.row, part.col - window.col, part.height, part.width).slices()
        values[0][target] = np.where(self.valid[..., None], self.values, 0)[part.slices()]
        valid[0][target] = self.valid[part.slices()]
        return {"s2": {"values": values, "valid": valid}}


def mapped(scene) -> Tile:
    """The map of a scene no larger than a tile."""
    (tile,) = predictor().run_windows(scene, [Window(0, 0, *scene.shape)])
    return tile
