"""The training loop."""

import contextlib
import pathlib

import jax

from jointseg_jax.data.pipeline import evaluation_batches
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.training import doubts, validation
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.saving import Saver
from jointseg_jax.training.devices import consensus, multiprocess, parallel
from jointseg_jax.training.devices.compilation_cache import announced
from jointseg_jax.training.experiment import Experiment
from jointseg_jax.training.incidents import Incidents
from jointseg_jax.training.loader import Loader
from jointseg_jax.training.run.logs import RunLog
from jointseg_jax.training.run.meter import Meter
from jointseg_jax.training.run.profiling import Trace
from jointseg_jax.training.run.stop_request import Stopping
from jointseg_jax.training.state import TrainState


class Loop:
    """The steps of a run, with the state and the objects it reports to."""

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
        loader = Loader(self._experiment, first)
        with contextlib.closing(loader), contextlib.closing(log.progress(first, config.steps)) as bar:
            for step in range(first, config.steps):
                self._stopping.check()
                with self._meter.waiting():
                    batch = next(loader)
                # Waiting for each step costs a dispatch, but dumps hold the state that failed, a stop need not wait
                # for queued steps, and the measured rates are true.
                with trace.step(step), announced("the training step", say=log.say):
                    self.state, metrics = self._steps.at(step)(self.state, batch)
                    values = {k: float(v) for k, v in jax.device_get(metrics).items()}
                multiprocess.stepped()
                self._incidents.watch(self.state, values)
                done = step + 1
                last = done == config.steps
                if done % config.log_every == 0 or last:
                    masked = consensus.total(loader.masked)
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
            self._summarise(first, consensus.total(loader.masked))

    def _catch_up(self, first: int) -> None:
        """Repeats the validation that a stop cut short; the best checkpoint is then the same as without the stop."""
        config = self._experiment.config
        due = first == config.steps or (first and first % config.validate_every == 0)
        if due and self.fitted.step != first:
            self._validate(first)
            self._saver.replace(self.state, self._experiment.meta(self.fitted))

    def _validate(self, step: int) -> None:
        experiment, log, config = self._experiment, self._log, self._experiment.config
        result = validation.validate(
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
        self.fitted = result.fitted
        log.record("validation", step, result.scores | {"masked": result.masked})
        log.say(f"step {step}: validation " + ", ".join(f"{k} {v:.3f}" for k, v in result.scores.items()))
        for doubt in self._doubts.look(result):
            log.say(f"warning: step {step}: {doubt}")
        if result.masked:
            log.say(f"step {step}: {result.masked} validation patches could not be read and are not in these figures")
        for name, counts in zip(experiment.contract.class_names, result.logits, strict=True):
            log.histogram(f"logits/{name}", step, counts, result.edges)
        if config.panels:
            weights = parallel.usable_here(self.state.ema)
            if jax.process_index() == 0:
                batch = next(evaluation_batches(experiment.validation, batch=config.panels, limit=config.panels))
                outputs = validation.run(experiment.model, weights, batch)
                picture = validation.picture(experiment.contract, batch, outputs, result.fitted, config.panels)
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
