"""Runs units of work on a Dask cluster: local processes, an existing cluster, or Slurm jobs.

Dask only runs single calls. These rules come from tests with dask.distributed 2026.8:

- At most one call per worker is submitted, and each worker has one thread: a call that waits on a worker dies with it
  and is blamed for the death.
- `resources=` is not used: with it, a call that kills its worker takes down others.
- Workers are spawned, never forked, because GDAL and JAX have threads.
- Workers are never given up as lost: the default limit is 15 s, and loading a network may take longer.
- A worker that dies before the result of its last call was fetched has that call done again, by Dask itself.

The scheduler keeps nothing on disk, because workers write the ledger's rows themselves.
"""

import contextlib
import gc
import logging
import os
import pathlib
import pickle
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from jointseg_jax.errors import InputError, Interrupted, Unfinished
from jointseg_jax.jobs import workers
from jointseg_jax.jobs.executors import End, Executor, Serial, Task, sentence
from jointseg_jax.jobs.gpus import visible_gpus
from jointseg_jax.jobs.interruption import Stopping

POLL = 0.02  # seconds between polls
_COUNT_EVERY = 1.0  # seconds between counts of the workers
NO_WORKERS = 600.0  # seconds without workers after which a local cluster is given up, and others get a message
ANSWER = 10.0  # seconds to fetch the result of an ended call, or to count workers; late ones are tried again
CONNECT = 30.0  # seconds to connect
_MOST = 4  # local workers by default
_SETTINGS = {
    "distributed.deploy.lost-worker-timeout": "1000 days",
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.multiprocessing-method": "spawn",
    # Dask's default limits numerical libraries to one thread; workers need the settings of a serial run.
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": 65536,
        "DASK_LOGGING__DISTRIBUTED": "critical",
    },
}


class Dask:
    """A Dask cluster; every worker is a process with one thread and does one unit at a time."""

    shard = (0, 1)

    def __init__(
        self, workers: int = 0, *, scheduler: str = "", slurm: Mapping[str, Any] | None = None, gpus: bool = True
    ):
        """Starts nothing yet.

        Args:
            workers: number of processes or Slurm jobs; 0 means one per GPU, or one without GPUs. All workers of an
                existing cluster are used, including those that join later.
            scheduler: address of an existing cluster: "tcp://host:8786". Its workers must see the same files under the
                same paths and must have been started with `--nthreads 1`.
            slurm: keyword arguments of `dask_jobqueue.SLURMCluster`: `queue`, `account`, `memory`, `walltime`,
                `job_cpu`, `job_extra_directives`, ...; see `slurm_options`.
            gpus: whether every local worker gets one of the GPUs, if there are any.

        Raises:
            InputError: the arguments contradict each other.
        """
        if scheduler and (slurm is not None or workers):
            raise InputError(
                "an existing cluster has its own workers: give a scheduler or a number of workers, not both"
            )
        if slurm is not None and workers < 1:
            raise InputError("the number of Slurm workers is missing: give 1 or more")
        if workers < 0:
            raise InputError(f"{workers} workers cannot be started: give 0 or more")
        self._workers, self._scheduler, self._slurm, self._gpus = workers, scheduler, slurm, gpus

    @property
    def distant(self) -> bool:
        """Whether workers may be on other machines."""
        return bool(self._scheduler) or self._slurm is not None

    def ends(
        self, task: Task, take: Callable[[], str | None], say: Callable[[str], None], stopping: Stopping
    ) -> Generator[End | None]:
        """Starts or joins the cluster; a cluster started here ends when the generator is closed."""
        import dask

        from jointseg_jax.jobs.worker import perform

        blob = _pickled(task)
        with dask.config.set(_SETTINGS), _quiet(), self._connected(task.folder) as (client, started):
            pending: dict[Any, str] = {}
            crew = _Crew(client, started, say)
            while True:
                while crew.count() > len(pending) and (unit := take()):
                    pending[client.submit(perform, blob, unit, pure=False)] = unit
                connected = client.status == "running"
                ended = [f for f in pending if not connected or f.status != "pending"]
                for future in ended:
                    unit = pending.pop(future)
                    end, died = _end_of(future, unit) if connected else (End(unit, dropped=True), False)
                    future.release()  # Dask would do the unit again if the worker that holds the result died
                    crew.workers -= died  # until the next count
                    yield end
                if not ended:
                    time.sleep(POLL)
                    yield None

    @contextlib.contextmanager
    def _connected(self, folder: pathlib.Path) -> Iterator[tuple[Any, Any]]:
        """A client, and the cluster if its processes were started on this machine."""
        import distributed

        with contextlib.ExitStack() as stack:
            address: Any = self._scheduler
            if self._slurm is not None:
                address = stack.enter_context(workers.slurm(self._workers, self._slurm, folder))
            elif not address:
                address = stack.enter_context(workers.local(self._workers, visible_gpus() if self._gpus else ()))
            # Collects clients that could not connect: a finaliser that runs while the next client starts would wait
            # for a Dask lock that this thread holds.
            gc.collect()
            try:
                client = stack.enter_context(
                    distributed.Client(address, timeout=CONNECT, set_as_default=False, name="jointseg")
                )
            except (OSError, ValueError) as error:
                raise InputError(f"no Dask scheduler answers at {address} ({error}): check address and port") from error
            yield client, None if self.distant else address


def local_executor(workers: int, units: int) -> Executor:
    """Processes of this machine without GPUs, or `Serial` if one would do.

    Args:
        workers: number of processes; 0 means one per core, 4 at most: storage seldom serves more.
        units: number of units; more workers are not started.
    """
    if not workers:
        from dask.system import CPU_COUNT  # knows control groups and affinity

        workers = min(CPU_COUNT, _MOST)
    workers = min(workers, units)
    return Serial() if workers <= 1 else Dask(workers, gpus=False)


class _Crew:
    """The workers of a cluster, counted every second; those of a local cluster are kept alive."""

    def __init__(self, client: Any, started: Any, say: Callable[[str], None]):
        self._client, self._started, self._say = client, started, say
        self.workers, self._counted, self._seen = 0, -_COUNT_EVERY, time.monotonic()

    def count(self) -> int:
        """The number of workers now; raises `Interrupted` once the client has given up a scheduler that is gone."""
        now, status = time.monotonic(), self._client.status
        if status in ("closing", "closed"):
            raise Interrupted(
                "the Dask scheduler is gone: finished units stay done; run the same command again to go on"
            )
        if status != "running" and self.workers:
            self._say("the Dask scheduler is gone; waiting for it to come back")
            self.workers = 0
        if status == "running" and now - self._counted >= _COUNT_EVERY:
            self._counted = now
            with contextlib.suppress(OSError, TimeoutError):
                # With a timeout, because a suspended scheduler keeps its connections and does not answer.
                threads = self._client.sync(self._client.scheduler.ncores_running, callback_timeout=ANSWER)
                wide = [address for address, number in threads.items() if number != 1]
                if wide:
                    raise InputError(
                        f"the worker at {wide[0]} has {threads[wide[0]]} threads: start it with --nthreads 1"
                    )
                self.workers = len(threads)
            if self._started is not None:
                _revive(self._started)
        if self.workers:
            self._seen = now
        elif now - self._seen >= NO_WORKERS:
            if self._started is not None:
                raise Unfinished(
                    f"no worker process has run for {NO_WORKERS / 60:.0f} minutes: see what the workers printed"
                )
            self._say("still no worker has joined the Dask cluster")
            self._seen = now
        return self.workers


def _revive(cluster: Any) -> None:
    """Restarts workers whose nanny gave up: Dask's nanny does so when a process dies during its start."""
    from distributed.core import Status

    given_up = [n for n, nanny in list(cluster.workers.items()) if nanny.status in (Status.closed, Status.failed)]
    for name in given_up:
        del cluster.workers[name]
    if given_up:
        cluster.loop.add_callback(_start_missing, cluster)


async def _start_missing(cluster: Any) -> None:
    with contextlib.suppress(Exception):  # it died at its start again; the next poll retries
        await cluster._correct_state()


def _end_of(future: Any, unit: str) -> tuple[End, bool]:
    """How a call ended, and whether it is known to have killed its worker."""
    import distributed

    if future.status in ("cancelled", "lost"):
        return End(unit, dropped=True), False
    try:
        return future.result(timeout=ANSWER), False
    except distributed.KilledWorker as error:
        return End(unit, error=f"its process died ({error.last_worker.address})", details=str(error)), True
    except (OSError, TimeoutError):  # worker or scheduler died with the result; the ledger has the row
        return End(unit, dropped=True), False
    except Exception as error:  # raised outside the work, which the worker cannot load
        return End(unit, error=f"a worker cannot start it: {sentence(error)}", details=repr(error)), False


def _pickled(task: Task) -> bytes:
    try:
        return pickle.dumps(task)
    except Exception as error:
        raise InputError(f"this work cannot be sent to other processes ({error}): use the serial executor") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Dask's log, because the run reports the same events in one line each."""
    logger = logging.getLogger("distributed")
    before, environment = logger.level, dict(os.environ)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
        for name in set(os.environ) - set(environment):  # a nanny leaves its workers' variables here
            del os.environ[name]
