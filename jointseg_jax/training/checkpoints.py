"""Checkpoints: the only file that knows Orbax.

    WORKDIR/checkpoints/STEP/   state, and everything needed to use it: config, contract, calibration

A checkpoint is written in the background and committed as a whole by a rename; older ones are removed only after that.
It restores onto any number of devices, because it is always read onto an abstract tree that says shapes, dtypes and
shardings.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import InputError, StorageError
from jointseg_jax.jobs import retries
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.training import agreement
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.state import Params, TrainState

FOLDER = "checkpoints"
_METRIC = "f1"


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a checkpoint holds besides the state.

    Attributes:
        config: the resolved config, as plain dicts and lists.
        contract: what the network was trained on.
        calibration: as of the last validation.
        dataset: name of the dataset and a digest of its index.
    """

    config: dict[str, Any]
    contract: Contract
    calibration: Calibration
    dataset: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "config": self.config,
            "contract": self.contract.to_dict(),
            "calibration": self.calibration.to_dict(),
            "dataset": self.dataset,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Meta":
        """Inverse of `to_dict`."""
        return cls(
            fields["config"],
            Contract.from_dict(fields["contract"]),
            Calibration(**fields["calibration"]),
            fields["dataset"],
        )


class Checkpoints:
    """The checkpoints of a run: the last `keep` and the best by validation F1."""

    def __init__(self, workdir: str | os.PathLike[str], *, keep: int = 2, read_only: bool = False):
        self._folder = pathlib.Path(workdir).resolve() / FOLDER
        self._keep, self._read_only = keep, read_only
        self._writing: int | None = None
        _quieten()
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        policies = ocp.checkpoint_managers
        return ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(self._keep),
                        policies.BestN(get_metric_fn=lambda m: m[_METRIC], n=1, keep_checkpoints_without_metrics=False),
                    ]
                ),
                # Without best_fn metrics are not written, and the best checkpoint is forgotten at the next start.
                best_fn=lambda m: m[_METRIC],
                enable_async_checkpointing=True,
                cleanup_tmp_directories=not self._read_only,  # what a killed or failed writer left takes up space
                read_only=self._read_only,
            ),
            item_names=("state", "meta"),
            item_handlers={"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()},
        )

    @property
    def latest(self) -> int | None:
        """The newest committed step."""
        return self._manager.latest_step()

    @property
    def steps(self) -> list[int]:
        """All committed steps."""
        return sorted(self._manager.all_steps())

    def best(self) -> int | None:
        """The committed step with the best validation F1; None when none was validated."""
        scores = {s: m[_METRIC] for s in self.steps if (m := self._manager.metrics(s))}
        return max(scores, key=lambda s: (scores[s], s)) if scores else None

    def save(self, state: TrainState, meta: Meta) -> None:
        """Starts writing a checkpoint; returns as soon as the arrays are copied off the devices.

        Raises:
            StorageError: this one cannot be begun, or the one before it failed (then this one is not begun).
        """
        self.wait()
        step = int(jax.device_get(state.step))
        validated = meta.calibration.step == step and _METRIC in meta.calibration.scores
        with self._storage(step):
            self._writing = step
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta.to_dict())),
                metrics={_METRIC: meta.calibration.scores[_METRIC]} if validated else None,
                force=True,
            )

    @property
    def idle(self) -> bool:
        """Nothing is being written; `wait` returns, or raises, at once."""
        return self._writing is None or not self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Until what was started is committed; raises `StorageError` when it is not."""
        step, self._writing = self._writing, None
        if step is not None:
            with self._storage(step):
                self._manager.wait_until_finished()

    def delete(self, step: int) -> None:
        """Removes a checkpoint."""
        self.wait()
        self._manager.delete(step)

    @contextlib.contextmanager
    def _storage(self, step: int) -> Iterator[None]:
        """Writing of a step: what fails, on any process, fails on all of them, in one sentence."""
        failure: Exception | None = None
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore says "disk full" by ValueError
            failure = error
        if agreement.anywhere(failure is not None):
            self._writing = None
            # A manager takes what it meant to delete after this save for deleted, so it is of no more use.
            with contextlib.suppress(Exception):
                self._manager.close()
            try:
                self._manager = retries.call(self._open)
            except OSError as error:  # the closed manager refuses the next save, which comes here again
                raise StorageError(f"{self._folder} cannot be opened ({_reason(error)})") from error
            if step not in self.steps:  # else it was committed, and only clearing away older ones failed
                raise StorageError(
                    f"checkpoint {step} could not be written to {self._folder} ({_reason(failure)}); "
                    f"{'checkpoints ' + ', '.join(map(str, self.steps)) + ' are' if self.steps else 'none was'} there"
                ) from failure

    def restore(self, abstract_state: TrainState, step: int) -> TrainState:
        """A whole state, onto the shapes, dtypes and shardings given.

        Raises:
            InputError: the checkpoint is damaged, or of another network.
        """
        with self._explained(step):
            self._check(abstract_state.params, step, "params")
            return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract_state)))[
                "state"
            ]

    def meta(self, step: int) -> Meta:
        """What a checkpoint holds besides the state; raises `InputError` when it is damaged."""
        with self._explained(step):
            restored = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
            return Meta.from_dict(restored["meta"])

    def shapes(self, step: int, which: str) -> dict[str, Any]:
        """What has a shape in the checkpoint's "ema" or "params", by path ("sr/stage1/conv_first/kernel").

        Raises:
            InputError: the checkpoint is damaged.
        """
        with self._explained(step):
            return _leaves(self._manager.item_metadata(step)["state"].tree[which])

    def restore_weights(self, abstract_params: Params, step: int, which: str, partial: bool = False) -> Params:
        """Only the parameters: `which` is "ema" or "params".

        Args:
            abstract_params: what to restore.
            step: of the checkpoint.
            which: see above.
            partial: the checkpoint may hold more.

        Raises:
            InputError: the checkpoint is damaged, or of another network.
        """
        item = {which: abstract_params}
        restore_args = ocp.checkpoint_utils.construct_restore_args(item)
        with self._explained(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            self._check(abstract_params, step, which, partial)
            restored = reader.restore(
                self._folder / str(step) / "state",
                args=ocp.args.PyTreeRestore(item=item, restore_args=restore_args, partial_restore=True),
            )
            return restored[which]

    def _check(self, wanted: Params, step: int, which: str, partial: bool = False) -> None:
        """Compares shapes before anything is read: Orbax finds out halfway, with other reads still under way."""
        stored = self._manager.item_metadata(step)["state"].tree[which]
        here, there = _shapes(wanted), _shapes({name: stored[name] for name in wanted if name in stored})
        for name in sorted({*here, *(() if partial else there)}):
            if here.get(name) != there.get(name):
                raise InputError(
                    f"{self._folder / str(step)} is of another network: {which}/{name} is "
                    f"{there.get(name, 'absent')} there and {here.get(name, 'absent')} here"
                )

    @contextlib.contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """A damaged checkpoint in one sentence."""
        try:
            yield
        except InputError:
            raise
        except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:  # whatever half a file decodes to
            others = [s for s in self.steps if s != step]
            rescue = f"delete that folder to use step {others[-1]}" if others else "there is no other: train again"
            reason = str(error).split("\n")[0][:200]
            raise InputError(f"{self._folder / str(step)} is damaged ({reason}): {rescue}") from error

    def close(self) -> None:
        """Waits, then lets go of the folder."""
        try:
            self.wait()
        finally:
            self._manager.close()


def _reason(failure: Exception | None) -> str:
    if failure is None:
        return "another process could not write"
    text = str(failure)
    full = "No space left" in text or "RESOURCE_EXHAUSTED" in text or getattr(failure, "errno", None) in retries.FULL
    return "no space left on the device" if full else f"{type(failure).__name__}: {text.splitlines()[0][:160]}"


_quiet = False


def _quieten() -> None:
    """Keeps Orbax's own reports off the terminal: what they say comes here as exceptions, and is said once."""
    global _quiet
    if _quiet:
        return
    _quiet = True

    def foreign(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__) if error else ()
        paths = (record.pathname, *(frame.filename for frame in frames))
        # TensorStore's futures have no traceback, but name themselves or the unfinished checkpoint they wrote.
        ours = any(name in str(error) for name in ("tensorstore", "orbax-checkpoint-tmp"))
        return not (ours or any("orbax" in pathlib.PurePath(path).parts for path in paths))

    # asyncio tells of the tasks that were left when another one of the same save failed.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(foreign)
    usual = sys.unraisablehook

    def hook(args: Any) -> None:
        # When one array fails to be written, TensorStore reports the others to an event loop that is gone.
        if not (isinstance(args.exc_value, RuntimeError) and str(args.exc_value) == "Event loop is closed"):
            usual(args)

    sys.unraisablehook = hook


def _leaves(tree: Params) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {name: tuple(leaf.shape) for name, leaf in _leaves(tree).items()}


def choose_step(checkpoints: Checkpoints, wanted: str, workdir: str | os.PathLike[str]) -> int:
    """The step that "best", "latest" or a number means; raises `InputError` when it is not there."""
    if not checkpoints.steps:
        raise InputError(
            f"{workdir} has no checkpoint: train first with `python train.py --config=... --workdir={workdir}`"
        )
    if wanted == "latest":
        return checkpoints.steps[-1]
    if wanted == "best":
        best = checkpoints.best()
        return checkpoints.steps[-1] if best is None else best
    if not wanted.isdigit() or int(wanted) not in checkpoints.steps:
        raise InputError(f"{workdir} has no checkpoint {wanted!r}; it has {checkpoints.steps}, or say best or latest")
    return int(wanted)
