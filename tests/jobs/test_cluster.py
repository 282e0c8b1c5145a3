"""Units over worker processes: the same rows and bits as alone, and the death of any process costs one attempt."""

import contextlib
import gc
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import distributed
import harness
import psutil
import pytest
from jobs import pieces
from jobs.test_units import UNITS, await_, door, end, litter

from jointseg_jax.errors import InputError, Interrupted, StorageError
from jointseg_jax.jobs import cluster, gpus, workers
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Result, Serial, Task
from jointseg_jax.jobs.interruption import Stopping
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.units import run_units

pytestmark = pytest.mark.timeout(300)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


ENV = {**os.environ, "PYTHONPATH": f"{harness.ROOT}:{harness.ROOT / 'tests'}", "DASK_LOGGING__DISTRIBUTED": "error"}


def start_scheduler(port):
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    process = subprocess.Popen(
        [*command, "--host=127.0.0.1", f"--port={port}", "--no-dashboard"], env=ENV, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start_worker(port, *options, before=()):
    command = [*before, sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}"]
    options = options or ("--nthreads=1",)
    return subprocess.Popen([*command, "--no-dashboard", *options], env=ENV, stderr=subprocess.DEVNULL)


@pytest.fixture
def processes():
    """Processes put in here are ended with the test."""
    started = []
    yield started
    for process in started:
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()


def test_the_same_rows_as_alone_and_the_network_is_built_once_per_worker(product, ledger, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    expected = run_units(UNITS, pieces.Piece(alone), Ledger(alone / "ledger"), Serial())
    before = dict(os.environ)
    outcome = run_units(UNITS, pieces.Piece(product, 0.2), ledger, Dask(2))
    assert dict(os.environ) == before
    pieces.whole(product, ledger, UNITS)
    assert dict(sorted(outcome.done.items())) == expected.done == ledger.done()
    assert sorted(pieces.notes(product, "begun")) == UNITS
    built = pieces.notes(product, "built")
    assert len(built) == len(set(built)) == 2  # two processes, each once
    assert str(os.getpid()) not in built
    again = run_units(UNITS, pieces.Piece(product), ledger, Dask(2))
    assert again.skipped == ledger.done()
    assert len(pieces.notes(product, "built")) == 2  # no cluster was started for nothing


def test_a_network_makes_the_same_bits_alone_and_in_workers(tmp_path):
    sums = []
    for name, arguments in (("alone", []), ("again", []), ("dask", ["--workers=2"])):
        status, out, err = end(door(tmp_path / name, "--net", *arguments))
        assert status == 0, out + err
        rows = Ledger(tmp_path / name / "ledger").done()
        sums.append([row["files"]["map"]["sha256"] for row in rows.values()])
    assert sums[0] == sums[1] == sums[2]
    assert len(set(sums[0])) == len(UNITS)


def test_workers_that_die_cost_one_attempt_of_the_unit_they_had(product, ledger):
    """And nobody else's: no unit waits in a worker that dies."""
    units = [f"u{number:03d}" for number in range(14)]
    for unit, word in (("u003", "die"), ("u004", "once die"), ("u005", "fail"), ("u006", "exit")):
        pieces.cause(product, unit, word)
    events = []
    outcome = run_units(units, pieces.Piece(product, 0.1), ledger, Dask(2), on_event=events.append)
    begun = pieces.notes(product, "begun")
    assert {unit: begun.count(unit) for unit in units if begun.count(unit) > 1} == {
        "u003": 3,
        "u004": 2,
        "u005": 3,
        "u006": 3,
    }
    assert outcome.quarantined.keys() == {"u003", "u005", "u006"}
    assert outcome.quarantined["u003"].startswith("its process died")
    assert outcome.quarantined["u005"] == "RuntimeError: u005 fails"
    assert "trouble" in ledger.quarantined()["u005"]["details"]
    assert [e.kind for e in events if e.unit == "u004"] == ["failed", "done"]
    shutil.rmtree(product / "trouble")
    run_units(units, pieces.Piece(product), ledger, Dask(2))
    pieces.whole(product, ledger, units)


def test_each_worker_has_its_own_gpu_and_the_settings(product, ledger, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(gpus, "_knows_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    outcome = run_units(UNITS, Environment(product), ledger, Dask())
    seen = {row["gpu"] for row in outcome.done.values()}
    assert seen == {"5", "GPU-7"}
    assert {row["preallocate"] for row in outcome.done.values()} == {"false"}
    assert {row["threads"] for row in outcome.done.values()} == {os.environ.get("OMP_NUM_THREADS")}
    with pytest.raises(InputError, match="3 workers for 2 GPUs"):
        run_units(["more"], Environment(product), ledger, Dask(3))


class Environment:
    def __init__(self, product):
        self.product = product

    def __call__(self, unit):
        names = {
            "gpu": "CUDA_VISIBLE_DEVICES",
            "preallocate": "XLA_PYTHON_CLIENT_PREALLOCATE",
            "threads": "OMP_NUM_THREADS",
        }
        time.sleep(0.2)
        return Result({key: os.environ.get(name) for key, name in names.items()}, {})


def test_a_full_disk_ends_the_run(tmp_path):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        ledger = Ledger(disk / "ledger")
        with pytest.raises(StorageError, match=r"takes no more .*No space left"):
            run_units(UNITS, pieces.Piece(disk, size=200_000), ledger, Dask(2))
        done = ledger.done()
        assert 1 <= len(done) < 6
        assert all(ledger.check(unit, deep=True) for unit in done)
        assert not ledger.quarantined()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert run_units(UNITS, pieces.Piece(disk, size=200_000), ledger, Dask(2)).skipped == done


def test_what_cannot_be_done_is_said_in_one_sentence(product, ledger):
    with pytest.raises(InputError, match="cannot be sent to other processes"):
        run_units(UNITS, lambda unit: Result({}, {}), ledger, Dask(1))
    with pytest.raises(InputError, match="has its own workers"):
        Dask(2, scheduler="tcp://127.0.0.1:8786")
    with pytest.raises(InputError, match="how many workers"):
        Dask(slurm={})
    with pytest.raises(InputError, match="-1 workers"):
        Dask(-1)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense:::", "127.0.0.1"])
def test_a_scheduler_that_is_not_there(product, ledger, monkeypatch, address):
    monkeypatch.setattr(cluster, "_TOGETHER", 1.0)
    with pytest.raises(InputError, match="no Dask scheduler answers at"):
        run_units(UNITS, pieces.Piece(product), ledger, Dask(scheduler=address))


@pytest.mark.timeout(90)
def test_a_client_that_could_not_connect_is_no_trap_for_the_next(product, ledger, processes, monkeypatch):
    """Dask's lock is held while a client starts; whatever is collected then must not wait for it."""
    monkeypatch.setattr(cluster, "_TOGETHER", 1.0)
    gc.disable()
    try:
        with pytest.raises(InputError, match="no Dask scheduler answers at"):
            run_units(UNITS, pieces.Piece(product), ledger, Dask(scheduler="127.0.0.1"))  # no port: half made
        begin = distributed.utils._CollectErrorThread.__init__

        def at_the_worst_moment(*arguments, **options):
            gc.collect()
            begin(*arguments, **options)

        monkeypatch.setattr(distributed.utils._CollectErrorThread, "__init__", at_the_worst_moment)
        monkeypatch.setattr(cluster, "_TOGETHER", 30.0)
        port = free_port()
        processes += [start_scheduler(port), start_worker(port)]
        run_units(UNITS, pieces.Piece(product), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"))
    finally:
        gc.enable()
    pieces.whole(product, ledger, UNITS)


@pytest.mark.timeout(60)
def test_a_signal_that_takes_long_to_hear_stops_no_wait(product, ledger):
    """`SimpleQueue.get(timeout=...)` waits forever once a handler has taken longer than the time that was left."""
    heard, over = [], threading.Event()

    def hear(number, frame):
        heard.append(number)
        time.sleep(3 * cluster._MOMENT)

    def send():
        while not over.wait(0.1):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before, sender = signal.signal(signal.SIGUSR1, hear), threading.Thread(target=send)
    sender.start()
    try:
        run_units(UNITS, pieces.Piece(product, 0.2), ledger, Dask(1))
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) > 5
    pieces.whole(product, ledger, UNITS)


def test_two_clusters_on_one_machine_take_no_port_from_each_other(product, ledger):
    """Dask's HTTP server would take 8787, and print a warning where that is taken."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # taken already
            stack.enter_context(socket.create_server(("127.0.0.1", 8787)))
        run_units(UNITS[:2], pieces.Piece(product), ledger, Dask(1))
    assert sorted(ledger.done()) == UNITS[:2]


@pytest.mark.slow
def test_sigterm_and_kill_leave_no_workers_behind(product, ledger):
    for number, (signal_, status) in enumerate([(signal.SIGTERM, 75), (signal.SIGKILL, -9)], 1):
        process = door(product, "--workers=2", "--seconds=0.7", "--grace=5", "--units=30")
        await_(lambda: len(pieces.notes(product, "begun")) >= 6 * number, process)  # noqa: B023
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal_)
        returned, out, err = end(process)
        assert returned == status, out + err
        assert "Traceback" not in out + err
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
        if signal_ == signal.SIGTERM:
            assert re.search(r"^stopped: \d+ of 30 units are done and stay done; run the same command again", err, re.M)
            assert len(ledger.done()) == len(pieces.notes(product, "begun"))  # those in hand ended
    status, out, err = end(door(product, "--workers=2", "--units=30"))
    assert status == 0, out + err
    pieces.whole(product, ledger, [f"u{number:03d}" for number in range(30)])


@pytest.mark.slow
def test_ctrl_c_reaches_the_run_and_not_its_workers(product, ledger):
    """A terminal sends it to the whole process group."""
    process = door(product, "--workers=2", "--seconds=0.7", "--units=30", start_new_session=True)
    await_(lambda: len(pieces.notes(product, "begun")) >= 4, process)
    os.killpg(process.pid, signal.SIGINT)
    status, out, err = end(process)
    assert status == 75, out + err
    assert "Traceback" not in out + err
    assert len(ledger.done()) == len(pieces.notes(product, "begun"))


@pytest.mark.slow
def test_two_runs_on_one_product_are_refused(product):
    process = door(product, "--workers=1", "--seconds=0.5", "--units=30")
    await_(lambda: pieces.notes(product, "begun"), process)
    for arguments in (["--workers=1"], [], ["--shard=0/2"]):
        status, _, err = end(door(product, *arguments))
        assert status == 2
        assert f"in use by another run (process {process.pid} on " in err
    process.kill()
    process.communicate()


def test_a_cluster_that_is_there_is_used_and_left_alone(product, ledger, processes, tmp_path):
    port = free_port()
    processes += [start_scheduler(port), start_worker(port), start_worker(port)]
    address = f"tcp://127.0.0.1:{port}"
    outcome = run_units(UNITS, pieces.Piece(product, 0.3), ledger, Dask(scheduler=address))
    pieces.whole(product, ledger, UNITS)
    assert len(set(pieces.notes(product, "built"))) == 2
    assert len(outcome.done) == 6
    # The same workers serve another run, with another work.
    other = tmp_path / "other"
    other.mkdir()
    run_units(UNITS, pieces.Piece(other, size=500), Ledger(other / "ledger"), Dask(scheduler=address))
    assert sorted(Ledger(other / "ledger").done()) == UNITS
    assert (other / "u000" / "map.bin").stat().st_size < 600
    assert all(process.poll() is None for process in processes)
    # One worker with two threads would have two units in one network at a time.
    processes.append(start_worker(port, "--nthreads=2"))
    with distributed.Client(address, set_as_default=False) as client:
        while len(client.nthreads()) < 3:
            time.sleep(0.1)
    with pytest.raises(InputError, match="has 2 threads: start it with --nthreads 1"):
        run_units(["a"], pieces.Piece(product), ledger, Dask(scheduler=address))


def test_a_worker_that_sees_another_disk_is_found_out(product, ledger, processes, monkeypatch):
    """In a mount namespace of its own a worker has another file system at the same path."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace cannot be made here")
    hide = f"mount -t tmpfs tmpfs {product} && mkdir {product}/ledger && echo stranger > {product}/ledger/.identity"
    port = free_port()
    processes.append(start_scheduler(port))
    processes.append(start_worker(port, before=["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"]))
    outcome = run_units(["a"], pieces.Piece(product), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"))
    assert "is not the folder that this run writes: give all workers the same file system" in outcome.quarantined["a"]
    assert ledger.done() == {}
    assert not pieces.notes(product, "begun")


@pytest.mark.slow
def test_a_scheduler_that_is_killed_costs_nothing(product, ledger, processes):
    """It comes back, with new workers, and the run goes on; it does not, and the run ends with 75."""
    port = free_port()
    units = [f"u{number:03d}" for number in range(24)]
    scheduler = start_scheduler(port)
    processes += [scheduler, start_worker(port), start_worker(port)]
    run = door(product, f"--scheduler=tcp://127.0.0.1:{port}", "--units=24", "--seconds=0.3")
    processes.append(run)
    await_(lambda: len(pieces.notes(product, "ended")) >= 6, run)
    scheduler.kill()
    scheduler.wait()
    before = ledger.done()
    scheduler = start_scheduler(port)
    processes += [scheduler, start_worker(port), start_worker(port)]
    await_(lambda: len(pieces.notes(product, "ended")) >= 16, run)
    assert before.items() <= ledger.done().items()
    scheduler.kill()
    scheduler.wait()
    status, out, err = end(run)
    assert status == 75, out + err
    assert re.search(r"^the Dask scheduler is gone: .*run the same command again to go on", err, re.M)
    assert "Traceback" not in out + err
    port = free_port()
    processes += [start_scheduler(port), start_worker(port)]
    outcome = run_units(units, pieces.Piece(product), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"))
    assert len(outcome.skipped) >= 16
    pieces.whole(product, ledger, units)
    # At most what was in hand at each of the two deaths was done again.
    assert len(pieces.notes(product, "ended")) <= len(units) + 2 * 2


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_holds_no_run(product, ledger, processes, monkeypatch):
    """Stopped, it keeps its connections open: nothing tells that it is gone."""
    monkeypatch.setattr(cluster, "_ANSWER", 1.0)
    port = free_port()
    processes += [start_scheduler(port), start_worker(port)]

    def freeze():
        while not pieces.notes(product, "ended"):
            time.sleep(0.05)
        processes[0].send_signal(signal.SIGSTOP)
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGTERM)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    units = [f"u{number:03d}" for number in range(100)]
    with pytest.raises(Interrupted, match="run the same command again to go on"):
        run_units(units, pieces.Piece(product, 0.3), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"), grace=2.0)
    freezer.join()
    assert ledger.done()


@pytest.mark.slow
def test_a_cluster_of_ours_without_workers_is_given_up(product, ledger, monkeypatch):
    """Workers that cannot stay: the run says so instead of waiting forever."""
    from jointseg_jax.errors import Unfinished

    monkeypatch.setattr(cluster, "_NO_WORKERS", 3.0)
    started = threading.Event()

    def keep_killing():
        while not started.wait(0.02):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "spawn_main" in " ".join(child.cmdline()) and pieces.notes(product, "begun"):
                        child.kill()

    killer = threading.Thread(target=keep_killing)
    killer.start()
    try:
        with pytest.raises(Unfinished, match="no worker process has lived"):
            run_units(UNITS, pieces.Piece(product, 0.5), ledger, Dask(1), attempts=100)
    finally:
        started.set()
        killer.join()
    run_units(UNITS, pieces.Piece(product), ledger, Dask(1))
    pieces.whole(product, ledger, UNITS)


def listening():
    """Addresses on which this process and its children listen."""
    found = set()
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return found


def test_a_cluster_of_our_own_is_for_nobody_else(product, ledger):
    """Every process listens on loopback alone, and none answers without the run's certificate."""
    task = Task(pieces.Piece(product), ledger.folder, product)
    with Stopping(1.0) as stopping, Dask(1).session(task, print, stopping) as session:
        while not session.room():
            time.sleep(0.05)
        assert listening() == {"127.0.0.1"}
        addresses = [session._own.scheduler_address, *session._own.scheduler.workers]
        assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
        for address in addresses:
            assert refused(*address.removeprefix("tls://").split(":"))


def refused(host, port):
    """Whether a port ends the connection of a client without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, int(port)), timeout=10) as plain, context.wrap_socket(plain) as wrapped:
            return not wrapped.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True


SBATCH = """#!/bin/sh
# Stands in for Slurm's: keeps the script, runs it in the background, says a job number.
cp "$1" {folder}/script
sh {folder}/script > {folder}/output 2>&1 &  # the original is removed as soon as this ends
echo "Submitted batch job $!"
"""


def test_slurm_jobs_are_submitted_with_the_options_and_cancelled(product, ledger, tmp_path, monkeypatch):
    """No Slurm here: the job scripts are real and are run, by a stand-in for sbatch."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH.format(folder=tmp_path))
    (tools / "scancel").write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/cancelled\nkill $1\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])
    options = workers.slurm_options(
        [
            "queue=gpu", "account=maps", "memory=4GB", "walltime=00:30:00", "job_cpu=8",
            "job_extra_directives=--gres=gpu:1;--exclusive", f"log_directory={tmp_path / 'logs'}",
        ]
    )  # fmt: skip
    run_units(UNITS, pieces.Piece(product, 0.1), ledger, Dask(1, slurm=options))
    pieces.whole(product, ledger, UNITS)
    script = (tmp_path / "script").read_text()
    for line in ("-p gpu", "-A maps", "--cpus-per-task=8", "-t 00:30:00", "--gres=gpu:1", "--exclusive"):
        assert f"#SBATCH {line}" in script
    assert "export XLA_PYTHON_CLIENT_PREALLOCATE=false" in script
    assert "--nthreads 1 " in script
    assert "tls://" in script
    assert "--dashboard-address 127.0.0.1:0" in script
    assert not list(ledger.folder.glob(".tls*"))  # the certificate went with the run
    assert len((tmp_path / "cancelled").read_text().split()) == 1
    for wrong in ({"memory": "4GB", "quue": "gpu"}, {"queue": "gpu"}):  # a slip; no memory
        with pytest.raises(InputError, match=r"Slurm options .* cannot be used"):
            run_units(["a"], pieces.Piece(product), ledger, Dask(1, slurm=wrong))


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine a worker takes half a minute to start
@pytest.mark.parametrize("mode", ["sys.exit", "graceful", "segfault"])
def test_chaos_workers_die_at_random(product, ledger, processes, mode):
    """Dask's own chaos: every worker lives for three seconds on average, and another is started in its place."""
    from distributed.chaos import KillWorker

    units = [f"u{number:03d}" for number in range(40)]
    port, over = free_port(), threading.Event()
    processes.append(start_scheduler(port))

    def keep():
        """What a cluster's manager does."""
        while not over.is_set():
            worker = start_worker(port)
            while worker.poll() is None and not over.wait(0.1):
                pass
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(worker.pid).children(recursive=True):
                    child.kill()
            worker.kill()
            worker.wait()

    with distributed.Client(f"tcp://127.0.0.1:{port}", set_as_default=False) as client:
        client.register_plugin(KillWorker(delay="3 s", mode=mode))
    keepers = [threading.Thread(target=keep) for _ in range(2)]
    for keeper in keepers:
        keeper.start()
    try:
        outcome = run_units(units, pieces.Piece(product, 0.4), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"))
    finally:
        over.set()
        for keeper in keepers:
            keeper.join()
    assert not outcome.quarantined
    pieces.whole(product, ledger, units)
    lives = len(pieces.notes(product, "built"))
    print(
        f"{mode}: {lives} worker processes did {len(units)} units in {len(pieces.notes(product, 'begun'))} beginnings"
    )
    assert lives > 3


@pytest.mark.slow
def test_a_worker_that_dies_while_it_starts_is_started_again(product, ledger):
    """Dask gives such a one up for good, and the cluster would shrink in silence."""
    units = [f"u{number:03d}" for number in range(40)]
    pieces.cause(product, "u000", "once die")
    killed, over = [], threading.Event()

    def kill():
        known = set()
        while not over.wait(0.005) and not killed:
            begun = pieces.notes(product, "begun")
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "spawn_main" not in " ".join(child.cmdline()):
                        continue
                    if begun and child.pid not in known:  # in place of the one that died of u000
                        child.kill()
                        killed.append(child.pid)
                    known.add(child.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run_units(units, pieces.Piece(product, 0.5), ledger, Dask(2))
    finally:
        over.set()
        killer.join()
    pieces.whole(product, ledger, units)
    assert killed
    built = pieces.notes(product, "built")
    assert str(killed[0]) not in built
    assert len(built) == 3  # the one that died, its neighbour, and one more after the one that never lived


@pytest.mark.slow
def test_chaos_workers_of_our_own_are_killed_at_random(product, ledger):
    """SIGKILL at random moments; more attempts than there are kills, since chaos is nobody's fault."""
    units = [f"u{number:03d}" for number in range(60)]
    random_, over, kills = random.Random(0), threading.Event(), []

    def kill():
        while not over.wait(random_.expovariate(1 / 1.5)):
            workers = [c for c in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(c.cmdline())]
            if workers and pieces.notes(product, "begun"):
                random_.choice(workers).kill()
                kills.append(1)

    killer = threading.Thread(target=kill)
    killer.start()
    events = []
    try:
        outcome = run_units(units, pieces.Piece(product, 0.2), ledger, Dask(2), attempts=10, on_event=events.append)
    finally:
        over.set()
        killer.join()
    pieces.whole(product, ledger, units)
    assert len(outcome.done) == 60
    assert len(kills) > 3
    begun = len(pieces.notes(product, "begun"))
    print(f"{len(kills)} kills, {begun} beginnings of {len(units)} units")
    assert begun <= len(units) + len(kills)
    assert len([e for e in events if e.kind == "failed"]) <= len(kills)
    assert len(litter(product)) <= len(kills)


@pytest.mark.slow
def test_a_poison_unit_takes_nobody_with_it(product, ledger):
    """200 units, five of which kill their worker each time."""
    units = [f"u{number:03d}" for number in range(200)]
    poison = units[7::40]
    for unit in poison:
        pieces.cause(product, unit, "die")
    outcome = run_units(units, pieces.Piece(product, 0.02), ledger, Dask(2))
    assert sorted(outcome.quarantined) == poison
    assert len(outcome.done) == 195
    begun = pieces.notes(product, "begun")
    assert {unit for unit in units if begun.count(unit) > 1} == set(poison)


@pytest.mark.slow
def test_interrupted_means_the_same_call_goes_on(product, ledger, processes, monkeypatch):
    """In one process: the client of a dead scheduler gives up, and the next call uses another cluster."""
    port = free_port()
    scheduler = start_scheduler(port)
    processes += [scheduler, start_worker(port)]
    monkeypatch.setattr(cluster, "_TOGETHER", 3.0)
    timer = threading.Timer(3.0, scheduler.kill)
    timer.start()
    with pytest.raises(Interrupted, match="scheduler is gone"):
        run_units(UNITS, pieces.Piece(product, 1.0), ledger, Dask(scheduler=f"tcp://127.0.0.1:{port}"))
    timer.join()
    run_units(UNITS, pieces.Piece(product), ledger, Dask(1))
    pieces.whole(product, ledger, UNITS)
