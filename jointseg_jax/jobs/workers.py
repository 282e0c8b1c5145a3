"""Starts worker processes for `cluster.Dask`: on this machine, or as Slurm jobs.

Anyone who reaches a port of Dask can run code in its processes. Therefore all connections use TLS with a certificate
made for this run, which both sides must show. Local clusters listen only on loopback. Dask always starts HTTP servers;
they listen on loopback too.
"""

import contextlib
import inspect
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jointseg_jax.errors import InputError, Unfinished
from jointseg_jax.jobs.gpus import worker_environment

_LOOPBACK = "127.0.0.1"
_HTTP = f"{_LOOPBACK}:0"  # any free port, because another run may use 8787


@contextlib.contextmanager
def local(workers: int, gpus: Sequence[str]) -> Iterator[Any]:
    """A cluster of processes on this machine; it ends with this process, even if this process is killed.

    Args:
        workers: number of processes; 0 means one per GPU, or one without GPUs.
        gpus: one for each worker; none if empty.

    Raises:
        InputError: there are fewer GPUs than workers.
        Unfinished: the workers did not start.
    """
    import distributed

    from jointseg_jax.jobs.worker import DeafToCtrlC

    workers = workers or len(gpus) or 1
    if gpus and workers > len(gpus):
        raise InputError(f"{workers} workers for {len(gpus)} GPUs: give one worker per GPU at most")
    common = {
        "host": _LOOPBACK,
        "protocol": "tls",
        "security": (security := distributed.Security.temporary()),
        "dashboard": False,
        "dashboard_address": _HTTP,
    }
    worker = {
        **common,
        "nthreads": 1,
        "memory_limit": 0,  # no limit: Dask would kill workers at a share of memory that it guesses
        "plugins": [DeafToCtrlC()],
    }
    # Dask reports every death, for the worker's one call; `run_units` counts them, so Dask must not.
    scheduler = {"cls": distributed.Scheduler, "options": {**common, "port": 0, "allowed_failures": 0}}
    specification = {
        number: {
            "cls": distributed.Nanny,
            "options": {**worker, "env": worker_environment(gpus[number] if gpus else None)},
        }
        for number in range(workers)
    }
    with _started(
        distributed.SpecCluster, workers=specification, scheduler=scheduler, security=security, name="jointseg"
    ) as cluster:
        yield cluster


@contextlib.contextmanager
def slurm(workers: int, given: Mapping[str, Any], shared: pathlib.Path) -> Iterator[Any]:
    """A cluster of Slurm jobs; its scheduler runs in this process and listens on the network.

    Args:
        workers: number of jobs.
        given: keyword arguments of `dask_jobqueue.SLURMCluster`.
        shared: folder that all machines see; holds the certificate during the run, readable only by this user.

    Raises:
        InputError: the options cannot be used, or dask-jobqueue is missing.
        Unfinished: the scheduler did not start.
    """
    try:
        import dask_jobqueue
    except ImportError as error:
        raise InputError("dask-jobqueue is missing: pip install 'jointseg-jax[slurm]'") from error
    exports = [f"export {name}={value}" for name, value in worker_environment().items()]
    # Dask uses one thread; job_cpu requests the cores for XLA and GDAL.
    options = {
        **given,
        "cores": 1,
        "processes": 1,
        "job_script_prologue": [*exports, *given.get("job_script_prologue", ())],
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", _HTTP, *given.get("worker_extra_args", ())],
    }
    try:  # on a job that is never submitted, because wrong options would leave a half-made cluster
        of_cluster = inspect.signature(dask_jobqueue.core.JobQueueCluster.__init__).parameters
        of_job = {k: v for k, v in options.items() if k not in of_cluster}
        dask_jobqueue.SLURMCluster.job_cls(scheduler="tcp://127.0.0.1:1", name="none", **of_job)
    except (TypeError, ValueError) as error:
        raise InputError(f"Slurm options {dict(given)} cannot be used ({error})") from error
    http = {"dashboard": False, "dashboard_address": _HTTP}
    with _certificate(shared) as security:
        options = {"security": security, "scheduler_options": http, **options}
        with _started(dask_jobqueue.SLURMCluster, **options) as cluster:
            cluster.scale(jobs=workers)
            yield cluster


@contextlib.contextmanager
def _certificate(shared: pathlib.Path) -> Iterator[Any]:
    """Writes a certificate to files that only this user may read, and removes them when the block ends."""
    import distributed

    made = distributed.Security.temporary().get_tls_config_for_role("scheduler")
    shared.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tls-", dir=shared) as folder:
        cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
        cert.write_text(made["cert"])
        key.write_text(made["key"])
        roles = ("client", "scheduler", "worker")
        files = {f"tls_{role}_{name}": str(path) for role in roles for name, path in (("cert", cert), ("key", key))}
        yield distributed.Security(require_encryption=True, tls_ca_file=str(cert), **files)


def slurm_options(given: Sequence[str]) -> dict[str, Any]:
    """Parses Slurm options such as `["queue=gpu", "job_cpu=8", "job_extra_directives=--gres=gpu:1"]`.

    Semicolons separate the items of lists.
    """
    options: dict[str, Any] = {}
    for key, _, value in (option.partition("=") for option in given):
        if key in ("job_extra_directives", "job_directives_skip", "job_script_prologue", "worker_extra_args"):
            options[key] = value.split(";")
        else:
            options[key] = int(value) if value.isdigit() else value
    return options


@contextlib.contextmanager
def _started(kind: Callable[..., Any], **options: Any) -> Iterator[Any]:
    try:
        cluster = kind(**options)
    except RuntimeError as error:
        raise Unfinished(f"the worker processes did not start ({error}): see their output") from error
    try:
        yield cluster
    finally:
        with contextlib.suppress(TimeoutError):
            cluster.close(timeout=10)
