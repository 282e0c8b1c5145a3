"""Code that runs in the worker processes of a Dask cluster."""

import pickle
import signal
import threading

import distributed

from jointseg_jax.jobs.executors import End, Task

_tasks: dict[bytes, Task] = {}


def perform(pickled: bytes, unit: str) -> End:
    """Does a unit. The task is unpickled once per process, to keep the state that its work builds."""
    if pickled not in _tasks:
        _tasks.clear()  # removes the task of an earlier run
        _tasks[pickled] = pickle.loads(pickled)
    return _tasks[pickled](unit)


class DeafToCtrlC(distributed.WorkerPlugin):
    """Makes workers ignore Ctrl-C: a terminal sends it to all processes, and the parent process handles it."""

    name = "jointseg-deaf"

    def setup(self, worker: distributed.Worker) -> None:
        """Ignores SIGINT; runs first in every worker process."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
