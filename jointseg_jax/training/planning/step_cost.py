"""The cost of a training step, measured by compiling it: jointseg plan --config=....

It trains nothing and reads no patches; bands and class shares come from the dataset if one is prepared.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from jointseg_jax.bounds.config import check_experiment
from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.prepare.recipe import make_recipe
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.memory_limit import memory_limit
from jointseg_jax.models import cost
from jointseg_jax.models.cost import parameter_table
from jointseg_jax.models.vgg import vgg19_shapes
from jointseg_jax.rasters.contract import Contract, Statistics
from jointseg_jax.training import accumulation
from jointseg_jax.training.build.method import build_method
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.method import Method, init_state
from jointseg_jax.training.planning.step_memory import step_memory
from jointseg_jax.training.programs import Program, compile_programs
from jointseg_jax.training.set_up import label_share
from jointseg_jax.training.state import TrainState
from jointseg_jax.training.step import abstract_batch, make_step

MEMORY_SHARE = 0.9  # of a device's memory for a step; the allocator and batches in transfer take the rest
_AIM = 0.98  # of that, because memory grows a little faster than a line


def plan(config: Any, say: Callable[[str], None] = print, *, exact: bool = False) -> None:
    """Prints parameters, FLOPs per step, memory of each phase's compiled step, and the largest batch that fits.

    The step of the config's batch is compiled, which training then finds in the cache.

    Args:
        config: of an experiment.
        say: prints a line.
        exact: compile further sizes to find the largest batch; otherwise it is estimated from the one size.

    Raises:
        InputError: the config contradicts itself or the devices.
    """
    check_experiment(config)
    mesh = parallel.make_mesh(config.mesh.data, config.mesh.space)
    contract, shares, origin = _contract(config)
    model = build_model(config.model, contract)
    patch, batch, unit = (
        config.dataset.patch,
        config.data.batch,
        mesh.shape[parallel.DATA] * config.optimizer.accumulate,
    )
    accumulation.check(batch, mesh.shape[parallel.DATA], config.optimizer.accumulate)
    method = build_method(config, model, patch, shares)
    say(f"devices     {parallel.describe(mesh)}")
    say(f"network     {config.name}, {model.control}; bands and class shares from {origin}")
    state = jax.eval_shape(lambda: init_state(method, config.seed))
    for line in parameter_table(state.params).splitlines():
        say(f"parameters  {line}")
    layout = parallel.state_shardings(state, mesh, config.mesh.rules)
    programs = _programs(config, method, mesh, layout)
    needs: dict[str, float] = {}
    for name, program in programs.items():
        flops = _flops(config, method, name == "adversarial")
        need = needs[name] = step_memory(program, config, method, mesh, batch)
        say(
            f"{name:<11} {flops / 1e12:.3g} TFLOP per step of {batch} patches of {patch} x {patch}, "
            f"{_bytes(need)} per device"
        )
    limit, whose = device_memory()
    name = max(reversed(needs), key=lambda phase: needs[phase])  # if two do not fit, the later phase needs more
    room = f"the largest that fits into {MEMORY_SHARE:.0%} of the {_bytes(limit)} of {whose}"
    if not exact and math.isfinite(needs[name]):
        fixed = _state_bytes(state, layout)
        fits = estimated_batch(batch, needs[name], fixed, unit, int(MEMORY_SHARE * limit))
        found = f"about {fits}" if fits else f"perhaps not even {unit}"
        say(f"batch       {room}: {found}, estimated from {batch}; --plan_exact compiles others to find it")
        return
    fits, need = largest_batch(
        lambda size: step_memory(programs[name], config, method, mesh, size), batch, needs[name], unit, limit
    )
    found = f"{fits} ({_bytes(need)} per device when compiled)" if fits else f"none, not even {unit}"
    say(f"batch       {room}: {found}")


def estimated_batch(batch: int, need: float, fixed: float, unit: int, room: int) -> int:
    """The largest multiple of `unit` samples that fits if all memory but that of the state grows with the batch.

    Buffers of the weights' gradients do not grow, so this is a little too small rather than too large.

    Args:
        batch: a batch of known need.
        need: its bytes.
        fixed: bytes of the state, whatever the batch.
        unit: samples.
        room: available bytes.
    """
    return max(0, int(batch * (room - fixed) / max(need - fixed, 1.0)) // unit * unit)


def _state_bytes(state: TrainState, layout: TrainState) -> int:
    """Bytes of the state on a device, of abstract arrays and their shardings."""
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(layout), strict=True)
    return sum(math.prod(where.shard_shape(x.shape)) * x.dtype.itemsize for x, where in pairs)


def _contract(config: Any) -> tuple[Contract, tuple[float, float], str]:
    """Contract, class shares and their origin: the prepared dataset, or the config if there is none."""
    if (pathlib.Path(config.dataset.path) / "dataset.json").exists():
        data = datasets.load(config.dataset.path)
        contract = datasets.select(data.contract, tuple(config.data.inputs))
        return contract, label_share(data), str(config.dataset.path)
    recipe = make_recipe(config.dataset)
    names = tuple(config.data.inputs) or tuple(m.name for m in recipe.modalities)
    modalities = []
    for modality in (m for m in recipe.modalities if m.name in names):
        n = len(modality.bands)
        unit = Statistics((0.0,) * n, (1.0,) * n, (0.0,) * n, (1.0,) * n)
        modalities.append(dataclasses.replace(modality, statistics=unit))
    contract = Contract(tuple(modalities), recipe.image_bands, label=config.dataset.label.name)
    impervious = (config.loss.get("prior") or 1.0) / 2  # below the prior, as labels that miss some
    return contract, (1 - impervious, impervious), "the config, because no dataset is prepared"


def _programs(config: Any, method: Method, mesh: parallel.Mesh, layout: TrainState) -> dict[str, Program]:
    batch = abstract_batch(method.model, config.dataset.patch, config.dataset.patch, config.data.batch)
    spread = parallel.batch_shardings(batch, mesh)
    return compile_programs(method, _vgg(method), mesh, layout, spread)[0].phases()


def _vgg(method: Method) -> Any:
    if not (method.adversarial and method.adversarial.perceptual):
        return None
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, "float32"), vgg19_shapes(), is_leaf=lambda x: isinstance(x, tuple)
    )


def _flops(config: Any, method: Method, adversarial: bool) -> int:
    """FLOPs of a step with its backward pass, in convolutions and matrix products."""
    whole = dataclasses.replace(method, accumulate=1)  # pieces take the same FLOPs
    state = jax.eval_shape(lambda: init_state(whole, config.seed))
    batch = abstract_batch(method.model, config.dataset.patch, config.dataset.patch, config.data.batch)
    vgg = () if not adversarial or _vgg(method) is None else (_vgg(method),)
    return cost.flops(make_step(whole, adversarial=adversarial), state, batch, *vgg)


def largest_batch(measure: Callable[[int], float], batch: int, need: float, unit: int, limit: int) -> tuple[int, float]:
    """The largest multiple of `unit` samples that is found to fit, and its bytes; 0 where not even `unit` fits.

    Halves `batch` until it fits. Compiles the size that a line through two sizes predicts, and halves it until it fits.

    Args:
        measure: bytes for a batch of this many samples; infinite if the compiler refuses it.
        batch: a batch of known need.
        need: its bytes.
        unit: samples.
        limit: available bytes.
    """
    measure, room, beyond = functools.cache(measure), int(MEMORY_SHARE * limit), math.inf
    while need > room:
        if batch == unit:
            return 0, 0
        beyond, batch = batch, max(unit, batch // 2 // unit * unit)
        need = measure(batch)
    other = batch // 2 // unit * unit or 2 * unit
    per_sample = (need - measure(other)) / (batch - other) if other < beyond else math.inf
    if not math.isfinite(per_sample):
        return batch, need
    predicted = batch + (_AIM * room - need) / max(per_sample, 1.0)
    guess = int(min(predicted, beyond - unit)) // unit * unit
    while guess > batch:
        if (more := measure(guess)) <= room:
            return guess, more
        guess = guess // 2 // unit * unit
    return batch, need


def device_memory() -> tuple[int, str]:
    """Bytes of memory of a device, and its description."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        whose = device.device_kind
        if device.platform == "gpu":
            # The share of the card's memory that JAX reserves.
            whose += " that JAX may use (the share XLA_PYTHON_CLIENT_MEM_FRACTION, 0.75 unless set)"
        return int(statistics["bytes_limit"]), whose
    if device.platform != "cpu":
        raise InputError(
            f"{device.device_kind} does not report its memory, so the largest batch is unknown: find it by training a "
            "few steps"
        )
    total, count = memory_limit(), jax.local_device_count()
    return total // count, "this machine" if count == 1 else f"each of the {count} devices that share this machine"


def _bytes(count: float) -> str:
    if count == math.inf:
        return "more than is available"
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
