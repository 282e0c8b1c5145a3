"""Processes of the tests: `run_file_work.py`, Dask schedulers and workers, and threads that disturb them."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import harness
import psutil

ENV = {**os.environ, "PYTHONPATH": f"{harness.ROOT}:{harness.ROOT / 'tests'}", "DASK_LOGGING__DISTRIBUTED": "error"}


def start(product, *arguments, **options):
    """Starts `run_file_work.py`."""
    return subprocess.Popen(
        [sys.executable, str(harness.ROOT / "tests" / "jobs" / "run_file_work.py"), f"--product={product}", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**ENV, "JAX_NUM_CPU_DEVICES": "1"}, **options,
    )  # fmt: skip


def end(process):
    """Waits for the end of a process: status, stdout, stderr."""
    try:
        out, err = process.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        process.kill()  # its workers end with it
        raise AssertionError("still running after 200 s", *process.communicate()) from None
    return process.returncode, out, err


def wait_until(condition, process=None, seconds=200):
    """Waits for a condition while a process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextlib.contextmanager
def meanwhile(action):
    """Runs `action(over)` in a thread; `over` is set when the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=action, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def own_workers():
    """Worker processes that a local cluster of this process started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def stop(process):
    """Kills a process and its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
    process.kill()
    process.wait()


class ExistingCluster:
    """A scheduler and workers that the run did not start."""

    def __init__(self, workers=0):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes = []
        self.start_scheduler()
        for _ in range(workers):
            self.start_worker()

    def start_scheduler(self):
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={self.port}"]
        self.scheduler = subprocess.Popen([*command, "--no-dashboard"], env=ENV, stderr=subprocess.DEVNULL)
        self.processes.append(self.scheduler)
        wait_until(self._listens, self.scheduler, seconds=60)

    def start_worker(self, option="--nthreads=1", before=()):
        command = [*before, sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--no-dashboard", option]
        self.processes.append(subprocess.Popen(command, env=ENV, stderr=subprocess.DEVNULL))
        return self.processes[-1]

    def kill_scheduler(self):
        self.scheduler.kill()
        self.scheduler.wait()

    def close(self):
        for process in self.processes:
            stop(process)

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False
