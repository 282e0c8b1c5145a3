"""When a checkpoint cannot be written: say it, go on, try again; at the end of a run, insist."""

from collections.abc import Callable

import jax

from jointseg_jax.errors import StorageError
from jointseg_jax.storage import retries
from jointseg_jax.training.checkpoints import Checkpoints, Meta
from jointseg_jax.training.state import TrainState


class Saver:
    """Saves a run's checkpoints through the outages of its storage."""

    def __init__(self, checkpoints: Checkpoints, say: Callable[[str], None], patience: float = 15.0):
        """Does nothing yet.

        Args:
            checkpoints: of the run.
            say: takes a sentence for people.
            patience: seconds to insist for in `finish`.
        """
        self._checkpoints, self._say, self._patience = checkpoints, say, patience

    def begin(self, state: TrainState, meta: Meta) -> None:
        """Starts writing in the background; a failure, of this or of the one before, is said and the run goes on."""
        self._settle()
        try:
            self._checkpoints.save(state, meta)
        except StorageError as error:
            self._complain(error)

    def poll(self) -> None:
        """Says, without waiting, what became of the last one."""
        # Whether it is idle differs between processes, and settling is a joint act: with several it happens in `begin`.
        if jax.process_count() == 1 and self._checkpoints.idle:
            self._settle()

    def finish(self, state: TrainState, meta: Meta) -> None:
        """Writes and waits until it is committed, trying for a while.

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
        """Writes a checkpoint again that is there without the validation it was due."""
        self._checkpoints.delete(int(jax.device_get(state.step)))
        self.finish(state, meta)

    def close(self) -> None:
        """Waits for what is being written; a failure is said."""
        self._settle()

    def _settle(self) -> None:
        try:
            self._checkpoints.wait()
        except StorageError as error:
            self._complain(error)

    def _complain(self, error: StorageError) -> None:
        self._say(f"warning: {error}; the run goes on and tries again at the next checkpoint")
