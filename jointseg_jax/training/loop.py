"""The training loop, from a config and a work directory to a checkpoint."""

import contextlib
import os
import pathlib
from typing import Any

import jax

from jointseg_jax.data.pipeline import evaluation_batches
from jointseg_jax.errors import Interrupted
from jointseg_jax.models import cost
from jointseg_jax.models.jointseg import Params
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.reader import warm_drivers
from jointseg_jax.storage.files import write_json, write_text
from jointseg_jax.storage.folders import claim
from jointseg_jax.storage.locks import exclusive
from jointseg_jax.training import doubts, validation
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.reading import FOLDER
from jointseg_jax.training.checkpoints.saving import Saver
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import consensus, multiprocess, parallel
from jointseg_jax.training.experiment import Experiment, forward_flops, parameter_table, set_up, start
from jointseg_jax.training.incidents import Incidents
from jointseg_jax.training.loader import Loader
from jointseg_jax.training.run.logs import RunLog
from jointseg_jax.training.run.meter import Meter
from jointseg_jax.training.run.profiling import Trace
from jointseg_jax.training.run.stop_request import StopAsked, Stopping
from jointseg_jax.training.state import TrainState
from jointseg_jax.training.step_memory import check_room


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
        run = _Run(experiment, workdir, log, saver, stopping, state, fitted)
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
    log.say(f"devices   {parallel.describe(experiment.mesh)}")
    log.say(
        f"dataset   {data.root} ({data.description['name']}): {len(experiment.training)} training and "
        f"{len(experiment.validation)} validation "
        f"patches of {height} x {width}, inputs {', '.join(m.name for m in experiment.contract.modalities)}"
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


class _Run:
    """The state of a run and the objects it reports to."""

    def __init__(
        self,
        experiment: Experiment,
        workdir: pathlib.Path,
        log: RunLog,
        saver: Saver,
        stopping: Stopping,
        state: TrainState,
        fitted: Calibration,
    ):
        self._experiment, self._log, self._saver, self._stopping = experiment, log, saver, stopping
        self._doubts = doubts.Doubts()
        self._incidents = Incidents(experiment, workdir, log)
        self._steps, self._evaluate = experiment.compile()
        height, width = experiment.training.size
        self._meter = Meter(experiment.config.data.batch, height * width * (COARSE_SPACING / 1000) ** 2)
        self.state, self.fitted = state, fitted

    def go(self, trace: Trace) -> None:
        """Trains to the last step; may raise `StopAsked` between two steps or validation batches."""
        config, log = self._experiment.config, self._log
        first = int(self.state.step)
        self._catch_up(first)
        self._meter.restart(first)
        feed = Loader(self._experiment, first)
        with contextlib.closing(feed), contextlib.closing(log.progress(first, config.steps)) as bar:
            for step in range(first, config.steps):
                self._stopping.check()
                with self._meter.waiting():
                    batch = next(feed)
                # Waiting for each step costs a dispatch, but dumps hold the state that failed, a stop need not wait
                # for queued steps, and the measured rates are true.
                with trace.step(step):
                    self.state, metrics = self._steps.at(step)(self.state, batch)
                    values = {k: float(v) for k, v in jax.device_get(metrics).items()}
                multiprocess.stepped()
                self._incidents.watch(self.state, values)
                done = step + 1
                last = done == config.steps
                if done % config.log_every == 0 or last:
                    masked = consensus.total(feed.masked)
                    values |= {"learning_rate": float(self._experiment.schedule(step)), "masked": masked}
                    values |= self._meter.read(done)
                    log.record("train", done, values)
                    bar.set_postfix_str(
                        f"loss {values['loss']:.3f}, {values['patches_per_second']:.1f} patches/s, "
                        f"{values['km2_per_second']:.3f} km2/s, waiting for data {values['data_wait']:.0%}",
                        refresh=False,
                    )
                    self._saver.poll()
                bar.update()
                if done % config.validate_every == 0 or last:
                    self._validate(done)
                if last:
                    self._saver.finish(self.state, self._experiment.meta(self.fitted))
                elif done % config.checkpoint_every == 0:
                    self._saver.begin(self.state, self._experiment.meta(self.fitted))
            self._summarise(first, consensus.total(feed.masked))

    def _catch_up(self, first: int) -> None:
        """Repeats the validation that a stop cut short; the best checkpoint is then the same as without the stop."""
        config = self._experiment.config
        due = first == config.steps or (first and first % config.validate_every == 0)
        if due and self.fitted.step != first:
            self._validate(first)
            self._saver.replace(self.state, self._experiment.meta(self.fitted))

    def _validate(self, step: int) -> None:
        experiment, log, config = self._experiment, self._log, self._experiment.config
        verdict = validation.validate(
            self._evaluate,
            self.state.ema,
            experiment.validation,
            experiment.mesh,
            batch=config.data.batch,
            slice_=experiment.slice_,
            step=step,
            limit=config.validate_patches,  # always the same patches, to make scores comparable
            check=self._stopping.check,
        )
        self.fitted = verdict.fitted
        log.record("validation", step, verdict.scores | {"masked": verdict.masked})
        log.say(f"step {step}: validation " + ", ".join(f"{k} {v:.3f}" for k, v in verdict.scores.items()))
        for doubt in self._doubts.look(verdict):
            log.say(f"warning: step {step}: {doubt}")
        if verdict.masked:
            log.say(f"step {step}: {verdict.masked} validation patches could not be read and are not in these figures")
        for name, counts in zip(experiment.contract.class_names, verdict.logits, strict=True):
            log.histogram(f"logits/{name}", step, counts, verdict.edges)
        if config.panels:
            weights = parallel.usable_here(self.state.ema)
            if jax.process_index() == 0:
                batch = next(evaluation_batches(experiment.validation, batch=config.panels, limit=config.panels))
                outputs = validation.run(experiment.model, weights, batch)
                picture = validation.picture(experiment.contract, batch, outputs, verdict.fitted, config.panels)
                log.picture("validation", step, picture)
        self._meter.restart(step)

    def _summarise(self, first: int, masked: int) -> None:
        skipped = int(self.state.skipped)
        self._log.record("end", int(self.state.step), {"masked": masked, "skipped": skipped})
        if masked:
            self._log.say(
                f"{masked} samples since step {first} were masked because their patches could not be read: see the "
                "errors above"
            )
        if skipped:
            self._log.say(f"{skipped} updates were skipped because they were not finite")
