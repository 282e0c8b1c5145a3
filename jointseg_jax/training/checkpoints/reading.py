"""Reading the arrays of checkpoints."""

import contextlib
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import Params
from jointseg_jax.storage import digests
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.quiet import quieten
from jointseg_jax.training.checkpoints.records import Records
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.state import TrainState


class Stored(Records):
    """Reads the checkpoints of a run."""

    def __init__(self, workdir: str | os.PathLike[str], *, say: Callable[[str], None] = print):
        """Opens nothing yet.

        Args:
            workdir: of the run.
            say: prints a message.
        """
        quieten()
        super().__init__(workdir, say=say)
        self._sound: set[int] = set()

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


def _leaves(tree: Params) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {name: tuple(leaf.shape) for name, leaf in _leaves(tree).items()}
