"""Writing checkpoints, and keeping the last and the best."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp

from jointseg_jax.errors import StorageError
from jointseg_jax.storage import digests, formats, retries
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.reading import Stored, score_of
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.state import TrainState

# What Orbax writes into the folder of a step after its digests were taken; neither decides what is restored.
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
                cleanup_tmp_directories=True,  # what a killed or failed writer left takes up space
            ),
            item_names=("state", "meta"),
            item_handlers={"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()},
        )

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Which checkpoints Orbax shall keep, oldest first; see `orbax.checkpoint.checkpoint_managers`."""
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
            StorageError: this one cannot be begun, or the one before it failed (then this one is not begun).
        """
        self.wait()
        step = int(jax.device_get(state.step))
        self._scores[step] = score_of(meta, step)
        self._sound.discard(step)
        record = formats.seal(meta.to_dict(), formats.CHECKPOINT)
        with self._storage(step):
            self._writing = step
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(record)),
                force=True,
            )

    def _seal(self) -> None:
        """Writes the digests of a checkpoint whose files are complete: on one process, before the folder is renamed."""
        (folder,) = self._folder.glob(f"{self._writing}.orbax-checkpoint-tmp*")
        digests.write(folder, besides=_LATE)

    @property
    def idle(self) -> bool:
        """Nothing is being written; `wait` returns, or raises, at once."""
        return self._writing is None or not self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Until what was started is committed; raises `StorageError` when it is not."""
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
        """Writing of a step: what fails, on any process, fails on all of them, in one sentence."""
        failure: Exception | None = None
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore says "disk full" by ValueError
            failure = error
        if consensus.anywhere(failure is not None):
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

    def _rescue(self, step: int) -> str:
        others = [s for s in self.steps if s != step]
        copy = "restore that folder from a copy"
        return f"remove that folder to go on from step {others[-1]}, or {copy}" if others else f"{copy}, or train again"

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
