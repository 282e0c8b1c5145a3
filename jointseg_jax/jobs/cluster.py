"""Runs units of work on a Dask cluster: local processes, an existing cluster, or Slurm jobs.

Dask only runs single calls. These rules come from tests with dask.distributed 2026.8:

- At most one call per worker is submitted, and each worker has one thread: a call that waits on a worker dies with it
  and is blamed for the death.
- `resources=` is not used: with it, a call that kills its worker takes down others.
- Workers are spawned, never forked, because GDAL and JAX have threads.
- Workers are never given up as lost: the default limit is 15 s, and loading a network may take longer.

The scheduler keeps nothing on disk, because workers write the ledger's rows themselves.
"""

import collections
import contextlib
import gc
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jointseg_jax.errors import InputError, Interrupted, Unfinished
from jointseg_jax.jobs import workers
from jointseg_jax.jobs.executors import End, Session, Task, sentence
from jointseg_jax.jobs.interruption import Stopping

_MOMENT = 0.02  # seconds between polls
_COUNT_EVERY = 1.0  # seconds between counts of the workers
_NO_WORKERS = 600.0  # seconds without workers after which a local cluster is given up, and others get a message
_ANSWER = 10.0  # seconds to fetch the result of an ended call, or to count workers; late ones are tried again
_TOGETHER = 30.0  # seconds to connect


class Dask:
    """A Dask cluster; every worker is a process with one thread and does one unit at a time."""

    shard = (0, 1)

    def __init__(self, workers: int = 0, *, scheduler: str = "", slurm: Mapping[str, Any] | None = None):
        """Starts nothing yet.

        Args:
            workers: number of processes or Slurm jobs; 0 means one per GPU, or one without GPUs. All workers of an
                existing cluster are used, including those that join later.
            scheduler: address of an existing cluster: "tcp://host:8786". Its workers must see the same files under the
                same paths and must have been started with `--nthreads 1`.
            slurm: keyword arguments of `dask_jobqueue.SLURMCluster`: `queue`, `account`, `memory`, `walltime`,
                `job_cpu`, `job_extra_directives`, ...; see `slurm_options`.

        Raises:
            InputError: the arguments contradict each other.
        """
        if scheduler and (slurm is not None or workers):
            raise InputError("a cluster that is there has its own workers: give a scheduler, or workers to start")
        if slurm is not None and workers < 1:
            raise InputError("say how many workers Slurm shall start")
        if workers < 0:
            raise InputError(f"{workers} workers cannot be started")
        self._workers, self._scheduler, self._slurm = workers, scheduler, slurm

    @property
    def distant(self) -> bool:
        """Whether workers may be on other machines."""
        return bool(self._scheduler) or self._slurm is not None

    @contextlib.contextmanager
    def session(self, task: Task, say: Callable[[str], None], stopping: Stopping) -> Iterator[Session]:
        """Starts or joins the cluster; a cluster started here ends with the block."""
        import dask
        import distributed

        blob = _pickled(task)
        with contextlib.ExitStack() as stack:
            settings = {
                "distributed.deploy.lost-worker-timeout": "1000 days",
                "distributed.scheduler.worker-saturation": 1.0,
                "distributed.worker.multiprocessing-method": "spawn",
                # Dask's default limits numerical libraries to one thread; workers need the settings of a serial run.
                "distributed.nanny.pre-spawn-environ": {
                    "MALLOC_TRIM_THRESHOLD_": 65536,
                    "DASK_LOGGING__DISTRIBUTED": "critical",
                },
            }
            stack.enter_context(dask.config.set(settings))
            stack.enter_context(_quiet())
            address: Any = self._scheduler
            if not address:
                started = workers.local(self._workers)
                if self._slurm is not None:
                    started = workers.slurm(self._workers, self._slurm, task.folder)
                address = stack.enter_context(started)
            # Collects clients that could not connect: a finaliser that runs while the next client starts would wait
            # for a Dask lock that this thread holds.
            gc.collect()
            try:
                client = stack.enter_context(
                    distributed.Client(address, timeout=_TOGETHER, set_as_default=False, name="jointseg")
                )
            except (OSError, ValueError) as error:
                raise InputError(f"no Dask scheduler answers at {address} ({error}): check address and port") from error
            yield _OnACluster(client, blob, say, own=None if self.distant else address)


class _OnACluster:
    """Submits units as workers become free."""

    def __init__(self, client: Any, blob: bytes, say: Callable[[str], None], own: Any):
        self._client, self._blob, self._say, self._own = client, blob, say, own
        self._pending: dict[Any, str] = {}
        self._ends: collections.deque[End] = collections.deque()
        self._workers, self._counted, self._seen = 0, -_COUNT_EVERY, time.monotonic()
        self._number = 0
        self._follow()

    def _follow(self) -> None:
        import distributed

        from jointseg_jax.jobs.worker import perform

        self._perform = perform
        self._completed = distributed.as_completed(loop=self._client.loop)

    def room(self) -> int:
        return self._count() - len(self._pending)

    def submit(self, unit: str) -> None:
        self._number += 1
        future = self._client.submit(
            self._perform, self._blob, unit, key=f"unit-{unit}-{self._client.id}-{self._number}", pure=False
        )
        self._pending[future] = unit
        self._completed.add(future)

    def next(self) -> End | None:
        if self._client.status != "running":
            self._wait_for_the_scheduler()
        if not self._ends:
            for future in self._completed.next_batch(block=False):
                unit = self._pending.pop(future, None)
                if unit is not None:
                    end, worker_died = _end_of(future, unit)
                    self._workers -= worker_died  # until the next count
                    self._ends.append(end)
        if self._ends:
            return self._ends.popleft()
        time.sleep(_MOMENT)
        self._count()
        return None

    def _wait_for_the_scheduler(self) -> None:
        """Returns the pending units as dropped; the client tries to reconnect for a while, then closes itself."""
        for unit in self._pending.values():
            self._ends.append(End(unit, dropped=True))
        if self._pending:
            self._say("the Dask scheduler is gone; waiting for it to come back")
        self._pending.clear()
        self._follow()
        self._workers = 0
        if self._client.status in ("closing", "closed"):
            raise Interrupted(
                "the Dask scheduler is gone: what is done stays done; run the same command again to go on"
            )

    def _count(self) -> int:
        """The number of workers now, counted every second."""
        now = time.monotonic()
        if self._client.status == "running" and now - self._counted >= _COUNT_EVERY:
            self._counted = now
            with contextlib.suppress(OSError, TimeoutError):
                # With a timeout, because a suspended scheduler keeps its connections and does not answer.
                threads = self._client.sync(self._client.scheduler.ncores, callback_timeout=_ANSWER)
                wide = [address for address, number in threads.items() if number != 1]
                if wide:
                    raise InputError(
                        f"the worker at {wide[0]} has {threads[wide[0]]} threads: start it with --nthreads 1"
                    )
                self._workers = len(threads)
            if self._own is not None:
                _revive(self._own)
        if self._workers:
            self._seen = now
        elif now - self._seen >= _NO_WORKERS:
            if self._own is not None:
                raise Unfinished(
                    f"no worker process has lived for {_NO_WORKERS / 60:.0f} minutes: see what they printed"
                )
            self._say("still no worker has joined the Dask cluster")
            self._seen = now
        return self._workers


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
        return future.result(timeout=_ANSWER), False
    except distributed.KilledWorker as error:
        return End(unit, error=f"its process died ({error.last_worker.address})", details=str(error)), True
    except (OSError, TimeoutError):  # worker or scheduler died with the result; the ledger has the row
        return End(unit, dropped=True), False
    except Exception as error:  # raised outside the work, which the worker cannot load
        return End(unit, error=f"a worker cannot begin it: {sentence(error)}", details=repr(error)), False


def _pickled(task: Task) -> bytes:
    try:
        return pickle.dumps(task)
    except Exception as error:
        raise InputError(
            f"this work cannot be sent to other processes ({error}): do it with the serial executor"
        ) from error


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
