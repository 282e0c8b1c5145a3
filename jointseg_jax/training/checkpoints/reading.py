"""Reading checkpoints, and choosing one."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import Params
from jointseg_jax.storage import digests, formats
from jointseg_jax.training.checkpoints.meta import FIRST_VERSION, Meta, parse
from jointseg_jax.training.checkpoints.quiet import quieten
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.state import TrainState

FOLDER = "checkpoints"
METRIC = "f1"


class Stored:
    """Reads the checkpoints of a run."""

    def __init__(self, workdir: str | os.PathLike[str], *, say: Callable[[str], None] = print):
        """Opens nothing yet.

        Args:
            workdir: of the run.
            say: prints a message.
        """
        quieten()
        self._folder = pathlib.Path(workdir).resolve() / FOLDER
        self._say = say
        self._sound: set[int] = set()
        self._scores: dict[int, float | None] = {}

    @property
    def steps(self) -> list[int]:
        """All committed steps."""
        try:
            return sorted(int(p.name) for p in self._folder.iterdir() if p.name.isdecimal() and p.is_dir())
        except FileNotFoundError:
            return []

    def best(self) -> int | None:
        """The committed step with the best validation F1; None when none was validated."""
        scores = {step: score for step in self.steps if (score := self.score(step)) is not None}
        return max(scores, key=lambda step: (scores[step], step)) if scores else None

    def score(self, step: int) -> float | None:
        """The validation F1 of a step; None if it was not validated, or (with a warning) if its record is damaged."""
        if step not in self._scores:
            try:
                self._scores[step] = score_of(self._read_meta(step, below="meta/"), step)
            except formats.Newer:
                raise
            except InputError as error:
                self._say(f"warning: {error}; it cannot be chosen as the best checkpoint")
                self._scores[step] = None
        return self._scores[step]

    def meta(self, step: int) -> Meta:
        """The metadata of a checkpoint; raises `InputError` when any of its files is damaged."""
        self._check_digests(step)
        return self._read_meta(step)

    def shapes(self, step: int, which: str) -> dict[str, Any]:
        """Array metadata of the checkpoint's "ema" or "params", by path ("sr/stage1/conv_first/kernel").

        Raises:
            InputError: the checkpoint is damaged.
        """
        return _leaves(self._tree(step)[which])

    def restore(self, abstract_state: TrainState, step: int) -> TrainState:
        """Restores a whole state onto the given shapes, dtypes and shardings.

        Raises:
            InputError: the checkpoint is damaged, or of another network.
        """
        self._compare(abstract_state.params, step, "params")
        with self._explained(step), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            return reader.restore(self._state(step), args=ocp.args.StandardRestore(abstract_state))

    def restore_weights(self, abstract_params: Params, step: int, which: str, partial: bool = False) -> Params:
        """Restores only the parameters.

        Args:
            abstract_params: what to restore.
            step: of the checkpoint.
            which: "ema" or "params".
            partial: the checkpoint may hold more.

        Raises:
            InputError: the checkpoint is damaged, or of another network.
        """
        item = {which: abstract_params}
        restore_args = ocp.checkpoint_utils.construct_restore_args(item)
        self._compare(abstract_params, step, which, partial)
        with self._explained(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            args = ocp.args.PyTreeRestore(item=item, restore_args=restore_args, partial_restore=True)
            return reader.restore(self._state(step), args=args)[which]

    def _state(self, step: int) -> pathlib.Path:
        return self._folder / str(step) / "state"

    def _tree(self, step: int) -> Any:
        """Metadata of the state's arrays."""
        self._check_digests(step)
        with self._explained(step), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            return reader.metadata(self._state(step)).item_metadata.tree

    def _compare(self, wanted: Params, step: int, which: str, partial: bool = False) -> None:
        """Compares shapes before reading, because Orbax raises only halfway, with other reads still under way."""
        stored = self._tree(step)[which]
        here, there = _shapes(wanted), _shapes({name: stored[name] for name in wanted if name in stored})
        for name in sorted({*here, *(() if partial else there)}):
            if here.get(name) != there.get(name):
                raise InputError(
                    f"{self._folder / str(step)} belongs to another network: {which}/{name} is "
                    f"{there.get(name, 'absent')} there, but {here.get(name, 'absent')} in this one"
                )

    def _read_meta(self, step: int, below: str | None = None) -> Meta:
        """Reads the record of a step; checks digests only of files with names that begin with `below`, if given."""
        folder = self._folder / str(step)
        if below is not None:
            with contextlib.suppress(FileNotFoundError):
                self._refuse(step, digests.amiss(folder, below))
        with self._explained(step), ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            record = reader.restore(folder / "meta", args=ocp.args.JsonRestore())
            fields = formats.unseal(record, formats.CHECKPOINT, folder)
            if formats.version(record) < FIRST_VERSION:
                raise InputError(
                    f"{folder} was made by an earlier version of jointseg-jax, with a network that this version lacks: "
                    "train again, or use the version that made it"
                )
            if not (folder / digests.FILE).is_file():
                self._refuse(step, f"{digests.FILE} is missing")
            return parse(fields, folder)

    def _check_digests(self, step: int) -> None:
        """Compares all files of a checkpoint with their digests, once."""
        if step in self._sound:
            return
        found = ""
        if jax.process_index() == 0:  # all read the same folder
            with contextlib.suppress(FileNotFoundError):
                found = digests.amiss(self._folder / str(step))
        if consensus.anywhere(bool(found)):
            self._refuse(step, found or "see the message of process 0")
        self._sound.add(step)

    def _refuse(self, step: int, reason: str) -> None:
        if reason:
            raise formats.Damaged(f"{self._folder / str(step)} is damaged ({reason}): {self._rescue(step)}")

    def _rescue(self, step: int) -> str:
        others = [str(s) for s in self.steps if s != step]
        copy = "restore that folder from a copy"
        return f"use another step (--checkpoint={others[-1]}), or {copy}" if others else f"{copy}, or train again"

    @contextlib.contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """Turns errors while reading into one sentence about a damaged checkpoint."""
        try:
            yield
        except (InputError, MemoryError):  # too little memory is no damage
            raise
        except Exception as error:  # truncated files and Orbax raise many types
            reason = str(error).split("\n")[0][:200] or type(error).__name__
            raise formats.Damaged(f"{self._folder / str(step)} is damaged ({reason}): {self._rescue(step)}") from error


def score_of(meta: Meta, step: int) -> float | None:
    """The F1 of a checkpoint validated at this step; None where its calibration comes from an earlier step."""
    fitted = meta.calibration
    return fitted.scores.get(METRIC) if fitted.step == step else None


def _leaves(tree: Params) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {name: tuple(leaf.shape) for name, leaf in _leaves(tree).items()}


def choose_step(checkpoints: Stored, wanted: str, workdir: str | os.PathLike[str]) -> int:
    """Resolves "best", "latest" or a number to a step; raises `InputError` when there is no such checkpoint."""
    if not checkpoints.steps:
        raise InputError(
            f"{workdir} has no checkpoint: train first with `jointseg train --config=... --workdir={workdir}`"
        )
    if wanted == "latest":
        return checkpoints.steps[-1]
    if wanted == "best":
        best = checkpoints.best()
        return checkpoints.steps[-1] if best is None else best
    if not wanted.isdecimal() or int(wanted) not in checkpoints.steps:
        raise InputError(f"{workdir} has no checkpoint {wanted!r}: use one of {checkpoints.steps}, best or latest")
    return int(wanted)
