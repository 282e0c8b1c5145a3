"""Writes checkpoints, and keeps the last and the best."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import StorageError
from jointseg_jax.storage import digests, formats, retries, typed
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.checkpoints.records import score_of
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.state import TrainState

# Files that Orbax writes after the digests are taken; neither affects what is restored.
_LATE = ("_CHECKPOINT_METADATA", "commit_success.txt")


class Checkpoints(Stored):
    """The checkpoints of a run: the last `keep` and the best by validation F1."""

    def __init__(self, workdir: str | os.PathLike[str], *, keep: int = 2, say: Callable[[str], None] = print):
        super().__init__(workdir, say=say)
        self._keep = keep
        self._writing: int | None = None
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self,
                enable_async_checkpointing=True,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
                cleanup_tmp_directories=True,  # leftovers of killed or failed writers take up space
            ),
            item_names=("state", "meta"),
            item_handlers={"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()},
        )

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tells Orbax which checkpoints to keep, oldest first; see `orbax.checkpoint.checkpoint_managers`."""
        steps = [found.step for found in checkpoints]
        scores = {step: score for step in steps if (score := self.score(step)) is not None}
        best = max(scores, key=lambda step: (scores[step], step), default=None)
        return [step == best or step in steps[-self._keep :] for step in steps]

    @property
    def latest(self) -> int | None:
        """The newest committed step."""
        return self._manager.latest_step()

    @property
    def steps(self) -> list[int]:
        """All committed steps."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, meta: Meta) -> None:
        """Starts writing a checkpoint; returns as soon as the arrays are copied off the devices.

        Raises:
            StorageError: the write cannot start, or the previous one failed (then this one does not start).
        """
        self.wait()
        step = int(jax.device_get(state.step))
        self._scores[step] = score_of(meta, step)
        self._sound.discard(step)
        record = formats.seal(typed.plain(meta), formats.CHECKPOINT)
        with self._storage(step):
            self._writing = step
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(record)),
                force=True,
            )

    def _seal(self) -> None:
        """Writes the digests once all files are complete, on one process, before the folder is renamed."""
        (folder,) = self._folder.glob(f"{self._writing}.orbax-checkpoint-tmp*")
        digests.write(folder, besides=_LATE)

    @property
    def idle(self) -> bool:
        """Whether no write is under way, and `wait` returns or raises at once."""
        return self._writing is None or not self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Waits for the commit of the write under way; raises `StorageError` when it fails."""
        step = self._writing
        if step is not None:
            with self._storage(step):
                self._manager.wait_until_finished()
            self._writing = None

    def delete(self, step: int) -> None:
        """Removes a checkpoint."""
        self.wait()
        self._manager.delete(step)
        self._scores.pop(step, None)
        self._sound.discard(step)

    @contextlib.contextmanager
    def _storage(self, step: int) -> Iterator[None]:
        """Raises a failed write of any process on all of them, as one sentence."""
        failure: Exception | None = None
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore says "disk full" by ValueError
            failure = error
        if consensus.anywhere(failure is not None):
            self._writing = None
            # The manager already counts the checkpoints it meant to delete as deleted, so it is replaced.
            with contextlib.suppress(Exception):
                self._manager.close()
            try:
                self._manager = retries.call(self._open)
            except OSError as error:  # the closed manager refuses the next save, which leads here again
                raise StorageError(f"{self._folder} cannot be opened ({_reason(error)})") from error
            if step not in self.steps:  # if it is there, only the removal of older ones failed
                raise StorageError(
                    f"checkpoint {step} could not be written to {self._folder} ({_reason(failure)}); "
                    f"{'checkpoints ' + ', '.join(map(str, self.steps)) + ' are' if self.steps else 'none was'} there"
                ) from failure

    def _rescue(self, step: int) -> str:
        others = [s for s in self.steps if s != step]
        copy = "restore that folder from a copy"
        return (
            f"remove that folder to continue from step {others[-1]}, or {copy}" if others else f"{copy}, or train again"
        )

    def close(self) -> None:
        """Waits for the write under way, then closes the manager."""
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
