"""How much memory mapping takes: known before it begins, and the same whatever the size of the scene."""

import dataclasses
from typing import Any

import jax
import numpy as np

from jointseg_jax.mapping.dihedral import MEMBERS
from jointseg_jax.mapping.predictor import Predictor, agree, predict_tiles
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.reader import READ_CACHE
from jointseg_jax.training import parallel


@dataclasses.dataclass(frozen=True)
class Memory:
    """An upper bound of what mapping holds at once, in bytes; it does not grow with the scene.

    Attributes:
        device: on each device: weights, inputs and outputs of the batches in flight, and the network's own buffers.
        host: arrays read and fetched, and GDAL's cache of blocks. On CPUs the devices' share comes on top, and always
            what the consumer makes of a tile.
    """

    device: int
    host: int

    def __str__(self) -> str:
        """In words, for the devices of this process."""
        if jax.default_backend() == "cpu":
            return f"{(self.device + self.host) / 1e9:.2g} GB of memory"
        return f"{self.device / 1e9:.2g} GB on each of its devices and {self.host / 1e9:.2g} GB of memory"


def memory(predictor: Predictor) -> Memory:
    """What mapping holds at most, whatever the size of the scene; it compiles the network to know."""
    side, contract = predictor.tile + 2 * predictor.halo, predictor.trained.meta.contract
    spread_out = parallel.over_samples(predictor.mesh)

    def array(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((predictor.batch, *shape), dtype, sharding=spread_out)

    inputs = {
        m.name: {
            "values": array(np.float32, contract.dates, side, side, len(m.bands)),
            "valid": array(bool, contract.dates, side, side),
        }
        for m in contract.modalities
    }
    fine = None
    if predictor.model.control == "fine":
        wide = side * FINE_FACTOR
        fine = (array(np.float32, wide, wide, 3), array(bool, wide, wide))
    forward = predict_tiles.lower(
        predictor.model,
        predictor.params,
        predictor.temperature,
        inputs,
        fine,
        halo=predictor.halo,
        images=predictor.images,
    )
    outputs = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread_out), forward.out_info)
    members = MEMBERS if predictor.augment else 1
    read, made = members * _bytes((inputs, fine)), members * _bytes(outputs)
    networks = [forward.compile().memory_analysis()]
    if predictor.augment:
        networks.append(agree.lower([outputs] * MEMBERS).compile().memory_analysis())
    buffers = max(0 if found is None else found.temp_size_in_bytes for found in networks)
    devices = predictor.mesh.size
    # In flight: a batch being read, one waiting, one computed; of results one in the making, one waiting, one used.
    return Memory(
        device=_bytes(predictor.params) + buffers + 3 * (read + made) // devices,
        host=3 * read + 2 * _bytes(outputs) + READ_CACHE,
    )


def _bytes(tree: Any) -> int:
    return sum(int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))
