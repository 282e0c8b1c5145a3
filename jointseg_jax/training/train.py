"""Trains, from a config and a work directory to a checkpoint; `jointseg train` runs it."""

import contextlib
import os
import pathlib
from typing import Any

import jax

from jointseg_jax.errors import Interrupted
from jointseg_jax.models import cost
from jointseg_jax.models.cost import forward_flops, parameter_table
from jointseg_jax.models.jointseg import Params
from jointseg_jax.rasters.reader import warm_drivers
from jointseg_jax.storage.files import write_json, write_text
from jointseg_jax.storage.folders import claim
from jointseg_jax.storage.locks import exclusive
from jointseg_jax.training import doubts
from jointseg_jax.training.checkpoints.records import FOLDER
from jointseg_jax.training.checkpoints.saving import Saver
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import multiprocess, parallel
from jointseg_jax.training.experiment import Experiment
from jointseg_jax.training.loop import Loop
from jointseg_jax.training.planning.step_memory import check_room
from jointseg_jax.training.run.logs import RunLog
from jointseg_jax.training.run.profiling import Trace
from jointseg_jax.training.run.stop_request import StopAsked, Stopping
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.start import start


def train(config: Any, workdir: str | os.PathLike[str], profile: range | None = None) -> None:
    """Trains until `config.steps`; resumes from the newest checkpoint of the work directory.

    Args:
        config: of an experiment, see configs/common.py.
        workdir: receives checkpoints, log.jsonl, TensorBoard events, the resolved config and the parameter table.
        profile: steps to trace into WORKDIR/profile.

    Raises:
        InputError: a field of the config is out of its bounds; dataset, config and work directory contradict each
            other; another run uses the work directory, or it holds other files.
        Interrupted: a stop was requested; the state is saved.
        Diverged: too many updates in a row were not finite.
        StorageError: the last state could not be saved.
    """
    workdir = pathlib.Path(workdir)
    warm_drivers()
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(Stopping())
        with multiprocess.share_input_errors():
            experiment = set_up(config)
            check_room(experiment)
            if jax.process_index() == 0:
                stack.enter_context(claim(workdir, "training run", older=_made_without_marker))
                stack.enter_context(exclusive(workdir, "training"))
        multiprocess.connect_groups(experiment.mesh)
        multiprocess.check_agreement(experiment.facts())
        multiprocess.check_shared_folder(workdir)
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir, keep=config.keep)))
        state, fitted, origin = start(experiment, checkpoints, workdir)
        first = int(state.step)
        trace = stack.enter_context(Trace(workdir, profile, first, config.steps))
        log = stack.enter_context(contextlib.closing(RunLog(workdir, first, config.wandb, experiment.plain)))
        introduce(experiment, state.params, log, workdir, first)
        if origin:
            log.say(f"weights   from {origin}")
            log.record("weights", first, {"from": origin})
        saver = stack.enter_context(contextlib.closing(Saver(checkpoints, log.say)))
        run = Loop(experiment, workdir, log, saver, stopping, state, fitted)
        try:
            run.go(trace)
        except StopAsked:
            saver.finish(run.state, experiment.meta(run.fitted))
            raise Interrupted(
                f"stopped after step {int(run.state.step)} of {config.steps}, saved in {workdir / FOLDER}: run the "
                "same command to continue"
            ) from None
        log.say(f"{config.steps} of {config.steps} steps done; checkpoints in {workdir / FOLDER}")


def _made_without_marker(workdir: pathlib.Path) -> list[str] | None:
    """Recognises a work directory from before folders had markers, or one with only compiled programs."""
    there = {path.name for path in workdir.iterdir() if not path.name.startswith(".")}
    return [] if FOLDER in there or {"config.json", "parameters.txt"} <= there or there <= {"xla"} else None


def introduce(experiment: Experiment, params: Params, log: RunLog, workdir: pathlib.Path, first: int) -> None:
    """Logs a summary of the run, and writes the resolved config and the parameter table to the work directory."""
    config, data = experiment.config, experiment.data
    height, width = experiment.training.size
    table = parameter_table(params)
    flops = forward_flops(experiment.model, params, height, width)
    if jax.process_index() == 0:
        write_json(workdir / "config.json", experiment.plain)
        write_text(workdir / "parameters.txt", table + "\n")
    count = cost.parameters(params)
    inputs = [m.name + " (may be absent)" * m.optional for m in experiment.contract.modalities]
    log.say(f"devices   {parallel.describe(experiment.mesh)}")
    log.say(
        f"dataset   {data.root} ({data.description['name']}): {len(experiment.training)} training and "
        f"{len(experiment.validation)} validation "
        f"patches of {height} x {width}, inputs {', '.join(inputs)}"
    )
    log.say(
        f"network   {config.name}, {count:,} parameters, {flops / 1e9:.1f} GFLOP per patch in a forward pass "
        f"({experiment.model.control})"
    )
    branches = {name: cost.parameters(part) for name, part in params.get("sr", {}).items()} | {
        "segmenter": cost.parameters(params["seg"])
    }
    log.say(
        "          "
        + ", ".join(f"{name} {n:,}" for name, n in branches.items())
        + f"; full list in {workdir / 'parameters.txt'}"
    )
    log.say(f"training  steps {first} to {config.steps}, global batch {config.data.batch}, seed {config.seed}")
    for doubt in doubts.at_start(config):
        log.say(f"warning: {doubt}")
    log.record("start", first, {"parameters": count, "flops_per_patch": flops, "devices": jax.device_count()})
