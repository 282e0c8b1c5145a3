"""The only room that knows devices: mesh, shardings, host arrays to global arrays and back."""

import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jointseg_jax.errors import InputError


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk (JAX_COMPILATION_CACHE_DIR, or the user's cache): a second start is seconds."""
    if not jax.config.values.get("jax_compilation_cache_dir"):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "jointseg-jax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def make_mesh(data: int = -1) -> Mesh:
    """A mesh with one axis, `data`, over the first `data` devices (-1: all)."""
    count = jax.device_count()
    wanted = count if data == -1 else data
    if not 1 <= wanted <= count:
        raise InputError(f"mesh.data is {data}, but there are {count} devices: take -1 for all of them")
    # jax.make_mesh defaults to Explicit axes, Mesh to Auto: always say which.
    return jax.make_mesh((wanted,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:wanted])


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds everything."""
    return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Samples are spread over the `data` axis."""
    return NamedSharding(mesh, P("data"))


def to_global(batch: Any, mesh: Mesh) -> Any:
    """This process's rows of a batch (a tree of NumPy arrays) as global arrays, sharded over `data`."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)


def prefetch(batches: Iterable[Any], mesh: Mesh, ahead: int = 1) -> Iterator[Any]:
    """Global batches, `ahead` of them already on their way to the devices (transfers are asynchronous)."""
    queue: list[Any] = []
    for batch in batches:
        queue.append(to_global(batch, mesh))
        if len(queue) > ahead:
            yield queue.pop(0)
    yield from queue


def abstract(tree: Any, sharding: NamedSharding) -> Any:
    """Shapes, dtypes and shardings of a tree: what a checkpoint is restored onto."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def describe(mesh: Mesh) -> str:
    """One line: devices, processes, mesh."""
    kind = jax.devices()[0].device_kind
    shape = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    return f"{jax.device_count()} {kind} device(s) in {jax.process_count()} process(es), mesh {shape}"
