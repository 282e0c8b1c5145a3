"""The training run, from a config and a work directory to a checkpoint."""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jointseg_jax.data.pipeline import evaluation_batches, training_batches
from jointseg_jax.jobs.files import write_json, write_text
from jointseg_jax.jobs.locks import exclusive
from jointseg_jax.models import cost
from jointseg_jax.rasters.reader import warm_drivers
from jointseg_jax.training import parallel, together, validation
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints import FOLDER, Checkpoints
from jointseg_jax.training.experiment import Experiment, forward_flops, parameter_table, set_up, start
from jointseg_jax.training.logs import RunLog
from jointseg_jax.training.state import Params


def train(config: Any, workdir: pathlib.Path) -> None:
    """Trains until `config.steps`, going on from what the work directory holds.

    Args:
        config: of an experiment, see configs/common.py.
        workdir: receives checkpoints, log.jsonl, TensorBoard events, the resolved config and the parameter table.

    Raises:
        InputError: dataset, config and work directory do not fit together, or another process trains there.
    """
    warm_drivers()
    with contextlib.ExitStack() as stack:
        with together.one_fate():
            experiment = set_up(config)
            if jax.process_index() == 0:
                stack.enter_context(exclusive(workdir, "training"))
        together.agree(experiment.facts())
        together.share(workdir)
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir, keep=config.keep)))
        state, fitted = start(experiment, checkpoints, workdir)
        log = stack.enter_context(contextlib.closing(RunLog(workdir)))
        first = int(state.step)
        introduce(experiment, state.params, log, workdir, first)
        step_fn, evaluate_fn = experiment.compile()
        meter = _Meter(config.data.batch)
        with _batches(experiment, first, log) as batches, contextlib.closing(log.progress(first, config.steps)) as bar:
            for step in range(first, config.steps):
                with meter.waiting():
                    batch = next(batches)
                with jax.profiler.StepTraceAnnotation("train", step_num=step):
                    state, metrics = step_fn(state, batch)
                done = step + 1
                last = done == config.steps
                if done % config.log_every == 0 or last:
                    values = {k: float(v) for k, v in jax.device_get(metrics).items()}
                    values |= {"learning_rate": float(experiment.schedule(step)), **meter.read(done - first)}
                    log.record("train", done, values)
                    bar.set_postfix_str(
                        f"loss {values['loss']:.3f}, {values['patches_per_second']:.1f} patches/s", refresh=False
                    )
                bar.update()
                if done % config.validate_every == 0 or last:
                    fitted = _validate(
                        experiment, evaluate_fn, state.ema, log, done, limit=None if last else config.validate_patches
                    )
                    meter.restart(done - first)
                if done % config.checkpoint_every == 0 or last:
                    checkpoints.save(state, experiment.meta(fitted))
        log.say(f"{config.steps} of {config.steps} steps done; checkpoints in {workdir / FOLDER}")


def introduce(experiment: Experiment, params: Params, log: RunLog, workdir: pathlib.Path, first: int) -> None:
    """Says what is about to run, and leaves the resolved config and the parameter table in the work directory."""
    config, data = experiment.config, experiment.data
    height, width = experiment.training.size
    table = parameter_table(params)
    flops = forward_flops(experiment.model, params, height, width)
    if jax.process_index() == 0:
        write_json(workdir / "config.json", experiment.plain)
        write_text(workdir / "parameters.txt", table + "\n")
    count = cost.parameters(params)
    log.say(f"devices   {parallel.describe(experiment.mesh)}")
    log.say(
        f"dataset   {data.root} ({data.description['name']}): {len(experiment.training)} training and "
        f"{len(experiment.validation)} validation "
        f"patches of {height} x {width}, inputs {', '.join(m.name for m in experiment.contract.modalities)}"
    )
    log.say(
        f"network   {config.name}, {count:,} parameters, {flops / 1e9:.1f} GFLOP per patch forward "
        f"({experiment.model.control})"
    )
    branches = {name: cost.parameters(part) for name, part in params.get("sr", {}).items()} | {
        "segmenter": cost.parameters(params["seg"])
    }
    log.say(
        "          "
        + ", ".join(f"{name} {n:,}" for name, n in branches.items())
        + f"; all in {workdir / 'parameters.txt'}"
    )
    log.say(f"training  steps {first} to {config.steps}, global batch {config.data.batch}, seed {config.seed}")
    log.record("start", first, {"parameters": count, "flops_per_patch": flops, "devices": jax.device_count()})


@contextlib.contextmanager
def _batches(experiment: Experiment, first: int, log: RunLog) -> Iterator[Iterator[Any]]:
    """Global batches from step `first` on; says how many samples of this process had to be masked."""
    data = experiment.config.data
    source = training_batches(
        experiment.training,
        batch=data.batch,
        seed=experiment.config.seed,
        start=first,
        slice_=experiment.slice_,
        augment=data.augment,
        jitter=data.jitter,
        threads=data.threads,
        workers=data.workers,
    )
    masked = 0

    def counted() -> Iterator[Any]:
        nonlocal masked
        for batch in source:
            masked += int(np.sum(~batch["readable"]))
            yield batch

    try:
        yield parallel.prefetch(counted(), experiment.mesh)
    finally:
        source.close()
        if masked:
            log.say(f"{masked} samples were masked because their patches could not be read; see the errors above")
            log.record("masked", first, {"samples": masked})


def _validate(
    experiment: Experiment, evaluate: Any, params: Params, log: RunLog, step: int, limit: int | None
) -> Calibration:
    config = experiment.config
    fitted, scores = validation.validate(
        evaluate,
        params,
        experiment.validation,
        experiment.mesh,
        batch=config.data.batch,
        slice_=experiment.slice_,
        step=step,
        limit=limit,
    )
    log.record("validation", step, scores)
    log.say(f"step {step}: validation " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
    if config.panels:
        weights = parallel.usable_here(params)
        if jax.process_index() == 0:
            batch = next(evaluation_batches(experiment.validation, batch=config.panels, limit=config.panels))
            outputs = validation.run(experiment.model, weights, batch)
            log.picture("validation", step, validation.picture(experiment.model, batch, outputs, fitted, config.panels))
    return fitted


class _Meter:
    """Throughput and the share of time spent waiting for data, since the last reading."""

    def __init__(self, batch: int):
        self._batch = batch
        self.restart(0)

    def restart(self, steps: int) -> None:
        self._since, self._started, self._waited = steps, time.perf_counter(), 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self._waited += time.perf_counter() - before

    def read(self, steps: int) -> dict[str, float]:
        elapsed = time.perf_counter() - self._started
        found = {
            "patches_per_second": (steps - self._since) * self._batch / elapsed,
            "data_wait": self._waited / elapsed,
        }
        self.restart(steps)
        return found
