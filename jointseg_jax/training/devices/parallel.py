"""Mesh, shardings, and host arrays to global arrays and back.

The mesh has two axes. Samples of a batch are sharded over `data`, the rows of each sample over `space`: images too
large for one device are trained or mapped in slabs, and devices exchange only the rows next to a slab. Parameters,
their EMA and the optimiser state are replicated unless a rule table shards some of them over `data`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jointseg_jax.errors import InputError
from jointseg_jax.models.slabs import row_slabs

DATA, SPACE = "data", "space"
HOW = ("largest", "whole")
Rules = Sequence[tuple[str, str]]
A = ParamSpec("A")
R = TypeVar("R")


def make_mesh(data: int = -1, space: int = 1) -> Mesh:
    """A mesh `data` x `space` over the first devices; `data` -1 takes all.

    Raises:
        InputError: there are too few devices, or a process would hold no samples or only parts of samples.
    """
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    count = len(devices)
    if not 1 <= space <= count or (data == -1 and count % space):
        raise InputError(f"mesh.space is {space}, but there are {count} devices: set it to a divisor of {count}")
    wanted = count // space if data == -1 else data
    if not 1 <= wanted * space <= count:
        raise InputError(
            f"mesh.data x mesh.space is {data} x {space}, but there are {count} devices: set mesh.data to -1 to use all"
        )
    grid = np.asarray(devices[: wanted * space], dtype=object).reshape(wanted, space)
    if any(len({d.process_index for d in row}) > 1 for row in grid):
        raise InputError(
            f"mesh.space is {space}, but a process has {jax.local_device_count()} devices and reads whole samples: "
            f"set mesh.space to a divisor of {jax.local_device_count()}"
        )
    shares = [sum(row[0].process_index == p for row in grid) for p in range(jax.process_count())]
    if len(set(shares)) > 1:
        raise InputError(
            f"the mesh {wanted} x {space} gives the {jax.process_count()} processes {shares} rows of devices, but all "
            "need the same number: set mesh.data to -1"
        )
    # Explicit, because the defaults differ: Auto axes for Mesh, Explicit ones for jax.make_mesh.
    return Mesh(grid, (DATA, SPACE), axis_types=(AxisType.Auto, AxisType.Auto))


def local_mesh(samples: int) -> Mesh:
    """A mesh over as many of this process's devices as divide `samples`, for mapping without other processes."""
    devices = jax.local_devices()
    count = next(n for n in range(min(len(devices), samples), 0, -1) if samples % n == 0)
    grid = np.asarray(devices[:count], dtype=object).reshape(count, 1)
    return Mesh(grid, (DATA, SPACE), axis_types=(AxisType.Auto, AxisType.Auto))


def check_fit(mesh: Mesh, batch: int, rows: int, least: int) -> None:
    """Refuses batches that do not divide over the mesh.

    Args:
        mesh: devices.
        batch: samples.
        rows: of a sample, at 10 m. If these divide, so do the rows of every finer or coarser lattice in the network.
        least: rows that a slab needs at 10 m: the reach of the widest operator.

    Raises:
        InputError: samples or rows do not divide.
    """
    data, space = mesh.shape[DATA], mesh.shape[SPACE]
    if batch % data:
        raise InputError(f"data.batch is {batch}, but must be a multiple of the {data} devices of mesh.data")
    if space > 1 and (rows % space or rows // space < least):
        raise InputError(
            f"a patch of {rows} rows at 10 m cannot be split over {space} devices (mesh.space) into equal slabs of at "
            f"least {least} rows: change mesh.space or dataset.patch"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that replicates an array on every device."""
    return NamedSharding(mesh, P())


def batch_shardings(batch: Any, mesh: Mesh) -> Any:
    """The sharding of each array of a batch.

    Samples (axis 0) are sharded over `data`; rows over `space`: axis 2 of an input `[b, dates, h, w, ...]`, axis 1 of
    images and labels `[b, H, W, ...]`. Scalars and vectors per sample are sharded over `data` only.
    """

    def of(path: Any, x: Any) -> NamedSharding:
        if np.ndim(x) < 3:
            return NamedSharding(mesh, P(DATA))
        inputs = _name(path).startswith("inputs/")
        return NamedSharding(mesh, P(DATA, None, SPACE) if inputs else P(DATA, SPACE))

    return jax.tree_util.tree_map_with_path(of, batch)


def over_samples(mesh: Mesh) -> NamedSharding:
    """The sharding of axis 0 over `data`, with all other axes whole."""
    return NamedSharding(mesh, P(DATA))


def state_shardings(tree: Any, mesh: Mesh, rules: Rules = ()) -> Any:
    """The sharding of each array of a state (or of parameters): replicated, or sharded over `data`.

    Args:
        tree: of arrays or shapes.
        mesh: devices.
        rules: (path pattern, how); the first pattern found in an array's path, such as
            "opt/generator/1/0/mu/sr/stage1/trunk/kernel1", decides. "largest" shards the largest axis that divides
            over `data` (ZeRO, Rajbhandari et al. 2020: arrays not in use need not be replicated); "whole" replicates.

    Raises:
        InputError: a rule is malformed.
    """
    table = []
    for rule in rules:
        try:
            pattern, how = rule
            table.append((re.compile(pattern), how))
        except (re.error, TypeError, ValueError) as error:
            raise InputError(
                f"mesh.rules has {rule!r}: give pairs of a path pattern and one of {', '.join(HOW)}"
            ) from error
        if how not in HOW:
            raise InputError(f"mesh.rules has {how!r} for {pattern!r}: use one of {', '.join(HOW)}")
    size = mesh.shape[DATA]

    def of(path: Any, x: Any) -> NamedSharding:
        how = next((how for pattern, how in table if pattern.search(_name(path))), "whole")
        axes = [i for i, n in enumerate(x.shape) if n % size == 0 and n >= size]
        if how == "whole" or size == 1 or not axes:
            return replicated(mesh)
        chosen = max(axes, key=lambda i: (x.shape[i], i))
        return NamedSharding(mesh, P(*(DATA if i == chosen else None for i in range(chosen + 1))))

    return jax.tree_util.tree_map_with_path(of, tree)


def whole(tree: Any, mesh: Mesh) -> Any:
    """Gathers `tree` onto every device and scatters its gradients back, inside a jitted function.

    Apply it to parameters before use; otherwise XLA may move the much larger activations instead.
    """
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, replicated(mesh)), tree)


def in_slabs(function: Callable[A, R], mesh: Mesh) -> Callable[A, R]:
    """Wraps a function that runs networks, to trace it for images with rows sharded over `space`."""

    def traced(*args: A.args, **kwargs: A.kwargs) -> R:
        with row_slabs(mesh.shape[SPACE]):
            return function(*args, **kwargs)

    return traced


def to_global(batch: Any, mesh: Mesh) -> Any:
    """Turns this process's samples of a batch (a tree of NumPy arrays) into global arrays; see `batch_shardings`."""
    return jax.tree.map(
        lambda x, sharding: jax.make_array_from_process_local_data(sharding, np.asarray(x)),
        batch,
        batch_shardings(batch, mesh),
    )


def prefetch(batches: Iterable[Any], mesh: Mesh, ahead: int = 1) -> Iterator[Any]:
    """Yields global batches and starts the asynchronous transfer of the next `ahead` ones."""
    queue: list[Any] = []
    for batch in batches:
        queue.append(to_global(batch, mesh))
        if len(queue) > ahead:
            yield queue.pop(0)
    yield from queue


def abstract(tree: Any, shardings: Any) -> Any:
    """Shapes, dtypes and shardings of a tree, onto which a checkpoint is restored.

    shardings: one for all, or a tree of them.
    """
    if isinstance(shardings, NamedSharding):
        one = shardings
        shardings = jax.tree.map(lambda _: one, tree)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings)


def usable_here(tree: Any) -> Any:
    """Makes `tree` usable by this process without the others; all processes must call it.

    A single process keeps its arrays in place; several get copies in host memory.
    """
    return tree if jax.process_count() == 1 else multihost_utils.process_allgather(tree, tiled=True)


def describe(mesh: Mesh) -> str:
    """Describes devices, processes and mesh in one line."""
    kind = jax.devices()[0].device_kind
    shape = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    return f"{jax.device_count()} {kind} device(s) in {jax.process_count()} process(es), mesh {shape}"


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
