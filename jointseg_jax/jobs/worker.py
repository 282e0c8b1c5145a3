"""What runs in the worker processes of a Dask cluster."""

import pickle
import signal
import threading

import distributed

from jointseg_jax.jobs.executors import End, Task

_tasks: dict[bytes, Task] = {}


def perform(pickled: bytes, unit: str) -> End:
    """Does a unit. The task is unpickled once, so what its work builds it keeps."""
    if pickled not in _tasks:
        _tasks.clear()  # that of a run before this one
        _tasks[pickled] = pickle.loads(pickled)
    return _tasks[pickled](unit)


class DeafToCtrlC(distributed.WorkerPlugin):
    """Leaves Ctrl-C, which a terminal sends to all processes, to the one that started the workers."""

    name = "jointseg-deaf"

    def setup(self, worker: distributed.Worker) -> None:
        """Runs first in every worker process."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
