"""Bounds the memory of mapping before it starts; the bound does not depend on the scene's size."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.memory_limit import in_words, memory_limit
from jointseg_jax.mapping.predictor.flips import MEMBERS
from jointseg_jax.mapping.predictor.predictor import Predictor, combine_members, predict_tiles
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.reader import READ_CACHE
from jointseg_jax.training.devices import parallel

_SURELY_FITS = 20e6  # bytes of input and output of windows that fit any machine; the default windows need 4e6


@dataclasses.dataclass(frozen=True)
class Memory:
    """An upper bound, in bytes, of the memory that mapping uses at once; it does not grow with the scene.

    Attributes:
        device: on each device: weights, inputs and outputs of the batches in flight, and the network's own buffers.
        host: arrays read and fetched, and GDAL's block cache. On CPUs the devices' memory adds to it. The memory of
            the consumer of the tiles is not included.
    """

    device: int
    host: int

    def __str__(self) -> str:
        """Formats the bound for the devices of this process."""
        if jax.default_backend() == "cpu":
            return f"{(self.device + self.host) / 1e9:.2g} GB of memory"
        return f"{self.device / 1e9:.2g} GB on each of its devices and {self.host / 1e9:.2g} GB of memory"


def memory(predictor: Predictor, dates: int | None = None) -> Memory:
    """Computes the bound for a predictor; compiles the network to measure its buffers.

    `dates` is that of `check_room`.
    """
    inputs, fine = _inputs(predictor, dates)
    spread_out = parallel.over_samples(predictor.mesh)
    forward = predict_tiles.lower(
        predictor.model,
        predictor.params,
        predictor.temperature,
        inputs,
        fine,
        halo=predictor.halo,
        images=predictor.images,
        support=predictor.support,
    )
    outputs = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread_out), forward.out_info)
    members = MEMBERS if predictor.augment else 1
    read, made = members * _bytes((inputs, fine)), members * _bytes(outputs)
    networks = [forward.compile().memory_analysis()]
    if predictor.augment:
        networks.append(combine_members.lower([outputs] * MEMBERS).compile().memory_analysis())
    buffers = max(0 if found is None else found.temp_size_in_bytes for found in networks)
    devices = predictor.mesh.size
    # Batches in flight: one being read, one waiting, one computed; results: one computed, one waiting, one consumed.
    return Memory(
        device=_bytes(predictor.params) + buffers + 3 * (read + made) // devices,
        host=3 * read + 2 * _bytes(outputs) + READ_CACHE,
    )


def check_room(predictor: Predictor, limit: int | None = None, dates: int | None = None) -> None:
    """Checks that the windows fit into this machine's memory.

    Args:
        predictor: of the mapping.
        limit: bytes of memory; by default what this process may use.
        dates: of the scenes (`Scene.dates`); by default those of the training.

    Raises:
        InputError: they do not fit. If the input alone is too large, this is raised before anything is compiled.
    """
    members, core = MEMBERS if predictor.augment else 1, predictor.tile * FINE_FACTOR
    least = 3 * members * _bytes(_inputs(predictor, dates)) + 8 * predictor.batch * core**2  # see `memory`
    if limit is None and least < _SURELY_FITS:
        return
    limit = memory_limit() if limit is None else limit
    need = least
    if least <= limit and jax.default_backend() == "cpu":  # other devices raise their own out-of-memory error
        found = memory(predictor, dates)
        need = found.device + found.host
    if need > limit:
        raise InputError(
            f"--tile={predictor.tile} with a batch of {predictor.batch} and a halo of {predictor.halo} input pixels "
            f"needs {in_words(need)} of memory, but {in_words(limit)} are available: choose a smaller --tile or --batch"
        )


def _inputs(predictor: Predictor, dates: int | None) -> tuple[Any, Any]:
    """Shapes of a batch's input, and of its 1 m image if the network segments one."""
    side, contract = predictor.tile + 2 * predictor.halo, predictor.trained.meta.contract
    dates = contract.dates if dates is None else dates
    spread_out = parallel.over_samples(predictor.mesh)

    def array(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((predictor.batch, *shape), dtype, sharding=spread_out)

    inputs = {
        m.name: {
            "values": array(np.float32, dates, side, side, len(m.bands)),
            "valid": array(bool, dates, side, side),
        }
        for m in contract.modalities
    }
    if predictor.model.control != "fine":
        return inputs, None
    wide = side * FINE_FACTOR
    return inputs, (array(np.float32, wide, wide, 3), array(bool, wide, wide))


def _bytes(tree: Any) -> int:
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))
