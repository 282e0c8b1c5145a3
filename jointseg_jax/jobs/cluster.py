"""Units of work over the processes of a Dask cluster: one of our own, one that is there, or one of Slurm jobs.

Dask is used as a runner of single calls, no more. What was found to matter (dask.distributed 2026.8):

- no more calls are handed over than there are workers of one thread each: what waits on a worker dies with it, and is
  then blamed for the death;
- no `resources=`: with it a call that kills its worker takes others down;
- workers are spawned, never forked: GDAL and JAX have threads;
- a cluster gives up a worker that is away for 15 s; loading a network may take longer.

The scheduler keeps nothing on disk and need not: workers write the ledger's rows themselves.
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

_MOMENT = 0.02  # seconds between looks
_COUNT_EVERY = 1.0  # seconds between counts of the workers
_NO_WORKERS = 600.0  # seconds without any: a cluster of our own is given up, of others it is said
_ANSWER = 10.0  # seconds for the answer of a call that has ended; what is late is asked for again
_TOGETHER = 30.0  # seconds to connect


class Dask:
    """A Dask cluster. Every worker is a process with one thread that does one unit at a time."""

    shard = (0, 1)

    def __init__(self, workers: int = 0, *, scheduler: str = "", slurm: Mapping[str, Any] | None = None):
        """Does nothing yet.

        Args:
            workers: processes, or Slurm jobs; 0 means one per GPU, or one where there is none. Of a cluster that is
                there all workers are used, whenever they come.
            scheduler: address of a cluster that is there: "tcp://host:8786". Its workers must see the same files under
                the same paths and have been started with `--nthreads 1`.
            slurm: keyword arguments of `dask_jobqueue.SLURMCluster`: `queue`, `account`, `memory`, `walltime`,
                `job_cpu`, `job_extra_directives`, ...; see `slurm_options`.

        Raises:
            InputError: these do not go together.
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
        """Starts or joins the cluster; a cluster of our own ends with the block."""
        import dask
        import distributed

        blob = _pickled(task)
        with contextlib.ExitStack() as stack:
            settings = {
                "distributed.deploy.lost-worker-timeout": "1000 days",
                "distributed.scheduler.worker-saturation": 1.0,
                "distributed.worker.multiprocessing-method": "spawn",
                # Dask would give the threads of numerical libraries to its own; ours shall see what a serial run sees.
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
            # A client that could not connect is finalised here: were it collected while the next one starts, its
            # finaliser would wait for a lock of Dask's that this very thread holds.
            gc.collect()
            try:
                client = stack.enter_context(
                    distributed.Client(address, timeout=_TOGETHER, set_as_default=False, name="jointseg")
                )
            except (OSError, ValueError) as error:
                raise InputError(f"no Dask scheduler answers at {address} ({error}): check address and port") from error
            yield _OnACluster(client, blob, say, own=None if self.distant else address)


class _OnACluster:
    """Hands units over as workers become free."""

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
        """Gives back what was in hand; the client tries to connect again for a while, then closes itself."""
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
        """Workers there now, counted every second."""
        now = time.monotonic()
        if self._client.status == "running" and now - self._counted >= _COUNT_EVERY:
            self._counted = now
            with contextlib.suppress(OSError, TimeoutError):
                # With a limit: a scheduler that is stopped keeps its connections and does not answer.
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
    """Starts those workers anew whose keepers gave up: Dask's do when a process dies while it is starting."""
    from distributed.core import Status

    given_up = [n for n, nanny in list(cluster.workers.items()) if nanny.status in (Status.closed, Status.failed)]
    for name in given_up:
        del cluster.workers[name]
    if given_up:
        cluster.loop.add_callback(_start_missing, cluster)


async def _start_missing(cluster: Any) -> None:
    with contextlib.suppress(Exception):  # it died at its start again: the next look tries again
        await cluster._correct_state()


def _end_of(future: Any, unit: str) -> tuple[End, bool]:
    """How a call ended, and whether its worker is known to have died of it."""
    import distributed

    if future.status in ("cancelled", "lost"):
        return End(unit, dropped=True), False
    try:
        return future.result(timeout=_ANSWER), False
    except distributed.KilledWorker as error:
        return End(unit, error=f"its process died ({error.last_worker.address})", details=str(error)), True
    except (OSError, TimeoutError):  # the worker died with the answer, or the scheduler did: the row is in the ledger
        return End(unit, dropped=True), False
    except Exception as error:  # raised outside the work: the worker cannot load it
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
    """Dask's log says in many lines what the run says in one."""
    logger = logging.getLogger("distributed")
    before, environment = logger.level, dict(os.environ)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
        for name in set(os.environ) - set(environment):  # a nanny leaves here what its workers shall have
            del os.environ[name]
