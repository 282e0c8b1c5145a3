"""Saves checkpoints despite storage failures: warns, continues and retries; waits longer at the end of a run."""

from collections.abc import Callable

import jax

from jointseg_jax.errors import StorageError
from jointseg_jax.storage import retries
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.state import TrainState


class Saver:
    """Saves the checkpoints of a run and survives storage outages."""

    def __init__(self, checkpoints: Checkpoints, say: Callable[[str], None], patience: float = 15.0):
        """Writes nothing yet.

        Args:
            checkpoints: of the run.
            say: prints a message.
            patience: seconds for which `finish` retries.
        """
        self._checkpoints, self._say, self._patience = checkpoints, say, patience

    def begin(self, state: TrainState, meta: Meta) -> None:
        """Starts writing in the background; warns if this write or the previous one fails."""
        self._settle()
        try:
            self._checkpoints.save(state, meta)
        except StorageError as error:
            self._complain(error)

    def poll(self) -> None:
        """Reports the outcome of the last write, without waiting for it."""
        # Settling is collective, but `idle` differs between processes: with several, `begin` settles instead.
        if jax.process_count() == 1 and self._checkpoints.idle:
            self._settle()

    def finish(self, state: TrainState, meta: Meta) -> None:
        """Writes a checkpoint and waits for its commit; retries for `patience` seconds.

        Raises:
            StorageError: it could not be written.
        """
        self._settle()
        step = int(jax.device_get(state.step))

        def write() -> None:
            if step not in self._checkpoints.steps:
                self._checkpoints.save(state, meta)
                self._checkpoints.wait()

        retries.call(write, errors=StorageError, patience=lambda _: self._patience, first=1.0)

    def replace(self, state: TrainState, meta: Meta) -> None:
        """Rewrites a checkpoint that was saved before its validation was done."""
        self._checkpoints.delete(int(jax.device_get(state.step)))
        self.finish(state, meta)

    def close(self) -> None:
        """Waits for the write under way; warns if it fails."""
        self._settle()

    def _settle(self) -> None:
        try:
            self._checkpoints.wait()
        except StorageError as error:
            self._complain(error)

    def _complain(self, error: StorageError) -> None:
        self._say(f"warning: {error}; the run continues and tries again at the next checkpoint")
