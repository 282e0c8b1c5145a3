"""Runs the programs of a study, several at a time, and stops them together."""

import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from jointseg_jax.errors import InputError, Interrupted, Unfinished
from jointseg_jax.storage.files import read_json, write_json

# CPU seconds of a training so far, in its folder; hidden, because a training that was cut short before it began refuses
# a folder with files of others.
COST = ".cost.json"
_STOPPED = 75
_Job = TypeVar("_Job")


class Programs:
    """Programs that run beside each other.

    Args:
        workers: number of them at a time; with several, each computes on one core.
        say: receives a line per finished job.
    """

    def __init__(self, workers: int, say: Callable[[str], None] = print):
        self._workers, self._say = workers, say
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = threading.Event()

    def carry_out(self, jobs: Sequence[_Job], work: Callable[[_Job], None], settle: Callable[[_Job], str]) -> None:
        """Does every job in a thread; one that fails does not stop the others.

        Args:
            jobs: printed by their `str`.
            work: does one.
            settle: called for each done one in the caller's thread; returns what to say of it.

        Raises:
            Unfinished: a job failed, or was stopped.
        """
        failed: dict[_Job, str] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                pending: dict[Future[None], _Job] = {pool.submit(work, job): job for job in jobs}
                while pending:
                    for future in wait(pending, timeout=1.0, return_when=FIRST_COMPLETED).done:
                        job = pending.pop(future)
                        try:
                            future.result()
                            about = settle(job)
                        except (InputError, Interrupted) as error:
                            about = failed[job] = str(error)
                        self._say(f"[{len(jobs) - len(pending)}/{len(jobs)}] {job}: {about}")
            except BaseException:
                self._stop()
                raise
        if failed:
            job, why = next(iter(failed.items()))
            raise Unfinished(
                f"{len(failed)} of {len(jobs)} runs failed, first {job}: {why}; run the same command to retry"
            )

    def call(self, program: str, *arguments: str, log: pathlib.Path, costs: bool = False) -> None:
        """Runs a program to its end.

        Args:
            program: a command of `jointseg`, such as "train".
            arguments: of it.
            log: folder that receives its output, in `train.log`.
            costs: add its CPU seconds to `COST` in that folder.

        Raises:
            InputError: it failed; the message has its last line.
            Interrupted: it was stopped.
        """
        if self._stopping.is_set():
            raise Interrupted(f"{program} was not started")
        log.mkdir(parents=True, exist_ok=True)
        path = log / f"{program}.log"
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "jointseg_jax", program, *arguments],
                stdout=output,
                stderr=output,
                env=self._environment(),
            )
            self._running.add(process)
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:  # a stop, in the main thread
                process.terminate()
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
            self._running.discard(process)
        if costs:
            spent = read_json(log / COST)["seconds"] if (log / COST).exists() else 0.0
            write_json(log / COST, {"seconds": spent + used.ru_utime + used.ru_stime})
        if process.returncode == _STOPPED or self._stopping.is_set():
            raise Interrupted(f"{program} was stopped")
        if process.returncode:
            last = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
            raise InputError(f"{program} ended with status {process.returncode} ({path}): {last[-1][:300]}")

    def _environment(self) -> dict[str, str]:
        if self._workers == 1:
            return dict(os.environ)
        flags = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        return {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_NUM_CPU_DEVICES": "1", "OMP_NUM_THREADS": "1"}

    def _stop(self) -> None:
        """Asks all programs to stop; trainings save a checkpoint first."""
        self._stopping.set()
        for process in list(self._running):
            process.terminate()
