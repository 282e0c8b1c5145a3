"""A cluster of local processes: the same rows and bits as a serial run, private ports, one GPU per worker."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import threading
import time

import psutil
import pytest
from jobs.file_work import UNITS, FileWork, assert_whole, noted, run
from jobs.processes import meanwhile

from jointseg_jax.errors import InputError
from jointseg_jax.jobs import cluster
from jointseg_jax.jobs.cluster import Dask, local_executor
from jointseg_jax.jobs.executors import Serial

pytestmark = pytest.mark.timeout(300)


def test_the_same_rows_as_a_serial_run_and_the_work_is_built_once_per_worker(product, ledger, tmp_path):
    (tmp_path / "serial").mkdir()
    expected = run(tmp_path / "serial")
    before = dict(os.environ)
    outcome = run(product, Dask(2), work=FileWork(product, 0.2))
    assert dict(os.environ) == before
    assert_whole(product)
    assert dict(sorted(outcome.done.items())) == expected.done == ledger.done()
    assert sorted(noted(product, "begun")) == UNITS
    built = noted(product, "built")
    assert len(built) == len(set(built)) == 2
    assert str(os.getpid()) not in built
    assert run(product, Dask(2)).skipped == ledger.done()
    assert len(noted(product, "built")) == 2  # no cluster was started for nothing


def read_environment(unit):
    time.sleep(0.2)
    names = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE", "OMP_NUM_THREADS")
    return tuple(os.environ.get(name) for name in names)


@pytest.mark.slow
def test_each_worker_has_its_own_gpu_and_the_settings_of_a_serial_run(product, cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    threads = os.environ.get("OMP_NUM_THREADS")
    outcome = run(product, Dask(), work=read_environment)
    assert set(outcome.done.values()) == {("5", "false", threads), ("GPU-7", "false", threads)}
    with pytest.raises(InputError, match="3 workers for 2 GPUs"):
        run(product, Dask(3), work=read_environment)


def test_workers_without_gpus_are_as_many_as_asked_and_as_useful(product, cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert isinstance(local_executor(1, 9), Serial)
    assert isinstance(local_executor(8, 1), Serial)
    run(product, local_executor(9, 2), UNITS, work=FileWork(product, 0.2))
    assert len(set(noted(product, "built"))) == 2
    assert_whole(product)


def test_impossible_requests_are_refused_in_one_sentence(product):
    with pytest.raises(InputError, match="cannot be sent to other processes"):
        run(product, Dask(1), work=lambda unit: {})
    with pytest.raises(InputError, match="has its own workers"):
        Dask(2, scheduler="tcp://127.0.0.1:8786")
    with pytest.raises(InputError, match="number of Slurm workers"):
        Dask(slurm={})
    with pytest.raises(InputError, match="-1 workers"):
        Dask(-1)


def test_a_slow_signal_handler_does_not_block_the_run(product):
    """`SimpleQueue.get(timeout=...)` waits forever if a handler takes longer than the time that was left."""
    heard = []

    def hear(number, frame):
        heard.append(number)
        time.sleep(3 * cluster.POLL)

    def send(over):
        while not over.wait(0.1):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, hear)
    try:
        with meanwhile(send):
            run(product, Dask(1), work=FileWork(product, 0.2))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) > 5
    assert_whole(product)


def test_two_clusters_on_one_machine_do_not_compete_for_a_port(product, ledger):
    """Dask's HTTP server would take 8787, and print a warning if that is taken."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # taken already
            stack.enter_context(socket.create_server(("127.0.0.1", 8787)))
        run(product, Dask(1), UNITS[:2])
    assert sorted(ledger.done()) == UNITS[:2]


def listening():
    """Addresses on which this process and its children listen."""
    found = set()
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return found


def speaks_http(address):
    """Whether a plain HTTP server answers, which runs no code of others."""
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        try:
            connection.request("GET", "/nothing")
            return connection.getresponse().status == 404
        except (OSError, http.client.HTTPException):
            return False


def refuses_strangers(address):
    """Whether a server speaks TLS and ends the connection of a client without a certificate."""
    ssl.get_server_certificate(address, timeout=10)  # raises if it does not speak TLS
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as wrapped:
            return not wrapped.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_local_cluster_is_private(product):
    """Every process listens on loopback only, and none answers without the run's certificate."""
    seen = []

    def look(event):
        addresses = listening()
        assert {address.ip for address in addresses} == {"127.0.0.1"}
        private = [address for address in addresses if not speaks_http(address)]
        assert all(refuses_strangers(address) for address in private)
        seen.append(len(private))

    run(product, Dask(1), UNITS[:1], on_event=look)
    assert seen[0] >= 3  # scheduler, worker and its nanny
