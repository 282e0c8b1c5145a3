"""Checkpoints: the only file that knows Orbax.

    WORKDIR/checkpoints/STEP/   state, and everything needed to use it: config, contract, calibration

A checkpoint is committed as a whole. It restores onto any number of devices, because it is always read onto an abstract
tree that says shapes, dtypes and shardings.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract
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
        policies = ocp.checkpoint_managers
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(keep),
                        policies.BestN(get_metric_fn=lambda m: m[_METRIC], n=1, keep_checkpoints_without_metrics=False),
                    ]
                ),
                # Without best_fn metrics are not written, and the best checkpoint is forgotten at the next start.
                best_fn=lambda m: m[_METRIC],
                enable_async_checkpointing=True,
                read_only=read_only,
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
        """Starts writing a checkpoint; returns as soon as the arrays are copied off the devices."""
        step = int(jax.device_get(state.step))
        validated = meta.calibration.step == step and _METRIC in meta.calibration.scores
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta.to_dict())),
            metrics={_METRIC: meta.calibration.scores[_METRIC]} if validated else None,
            force=True,
        )

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

    def restore_weights(self, abstract_params: Params, step: int, which: str) -> Params:
        """Only the parameters: `which` is "ema" or "params".

        Raises:
            InputError: the checkpoint is damaged, or of another network.
        """
        item = {which: abstract_params}
        restore_args = ocp.checkpoint_utils.construct_restore_args(item)
        with self._explained(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            self._check(abstract_params, step, which)
            restored = reader.restore(
                self._folder / str(step) / "state",
                args=ocp.args.PyTreeRestore(item=item, restore_args=restore_args, partial_restore=True),
            )
            return restored[which]

    def _check(self, wanted: Params, step: int, which: str) -> None:
        """Compares shapes before anything is read: Orbax finds out halfway, with other reads still under way."""
        stored = self._manager.item_metadata(step)["state"].tree[which]
        here, there = _shapes(wanted), _shapes(stored)
        for name in sorted({*here, *there}):
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

    def wait(self) -> None:
        """Until everything started is committed."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then lets go of the folder."""
        self._manager.wait_until_finished()
        self._manager.close()


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


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
