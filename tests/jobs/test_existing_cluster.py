"""A cluster that the run did not start: it is used and left alone, and may lose its scheduler."""

import gc
import os
import re
import signal
import subprocess
import time

import distributed
import pytest
from jobs.file_work import UNITS, FileWork, assert_whole, names, noted, run
from jobs.processes import end, meanwhile, start, stop, wait_until

from jointseg_jax.errors import InputError, Interrupted
from jointseg_jax.jobs import cluster
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.ledger import Ledger

pytestmark = pytest.mark.timeout(300)


def wait_for_workers(existing, count):
    with distributed.Client(existing.address, set_as_default=False) as client:
        wait_until(lambda: len(client.nthreads()) == count)


@pytest.mark.slow
def test_an_existing_cluster_is_used_and_left_alone(product, start_cluster, tmp_path):
    existing = start_cluster(workers=2)
    executor = Dask(scheduler=existing.address)
    wait_for_workers(existing, 2)
    assert len(run(product, executor, work=FileWork(product, 0.3)).done) == 6
    assert_whole(product)
    assert len(set(noted(product, "built"))) == 2
    # The same workers serve another run, with another work.
    other = tmp_path / "other"
    other.mkdir()
    run(other, executor, work=FileWork(other, size=500))
    assert sorted(Ledger(other / "ledger").done()) == UNITS
    assert (other / "u000" / "map.bin").stat().st_size < 600
    assert all(process.poll() is None for process in existing.processes)
    # A worker with two threads would use one network for two units at a time.
    existing.start_worker("--nthreads=2")
    wait_for_workers(existing, 3)
    with pytest.raises(InputError, match="has 2 threads: start it with --nthreads 1"):
        run(product, executor, ["a"])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense:::"])
def test_an_address_without_a_scheduler_is_refused(product, monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    with pytest.raises(InputError, match="no Dask scheduler answers at"):
        run(product, Dask(scheduler=address))


def test_a_client_that_could_not_connect_does_not_block_the_next(product, start_cluster, monkeypatch):
    """Dask holds a lock while a client starts; a finaliser that runs then must not wait for it."""
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    gc.disable()
    try:
        with pytest.raises(InputError, match="no Dask scheduler answers at"):
            run(product, Dask(scheduler="127.0.0.1"))  # no port: half made
        begin = distributed.utils._CollectErrorThread.__init__

        def at_the_worst_moment(*arguments, **options):
            gc.collect()
            begin(*arguments, **options)

        monkeypatch.setattr(distributed.utils._CollectErrorThread, "__init__", at_the_worst_moment)
        monkeypatch.setattr(cluster, "CONNECT", 30.0)
        run(product, Dask(scheduler=start_cluster(workers=1).address))
    finally:
        gc.enable()
    assert_whole(product)


def test_a_worker_that_sees_another_disk_is_refused(product, ledger, start_cluster):
    """In a mount namespace of its own a worker has another file system at the same path."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace cannot be made here")
    hide = f"mount -t tmpfs tmpfs {product} && mkdir {product}/ledger && echo stranger > {product}/ledger/.identity"
    existing = start_cluster()
    existing.start_worker(before=["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"])
    outcome = run(product, Dask(scheduler=existing.address), ["a"])
    assert "is not the folder that this run writes: give all workers the same file system" in outcome.quarantined["a"]
    assert ledger.done() == {}
    assert not noted(product, "begun")


@pytest.mark.slow
def test_a_run_survives_its_scheduler(product, ledger, start_cluster):
    """If the scheduler comes back, with new workers, the run goes on; otherwise it ends with status 75."""
    existing = start_cluster(workers=2)
    process = start(product, f"--scheduler={existing.address}", "--units=24", "--seconds=0.3")
    existing.processes.append(process)
    wait_until(lambda: len(noted(product, "ended")) >= 6, process)
    existing.kill_scheduler()
    before = ledger.done()
    existing.start_scheduler()
    existing.start_worker()
    existing.start_worker()
    wait_until(lambda: len(noted(product, "ended")) >= 12, process)
    assert before.items() <= ledger.done().items()
    existing.kill_scheduler()
    status, out, err = end(process)
    assert status == 75, out + err
    assert re.search(r"^the Dask scheduler is gone: .*run the same command again to go on", err, re.M)
    assert "Traceback" not in out + err
    outcome = run(product, Dask(scheduler=start_cluster(workers=1).address), names(24))
    assert len(outcome.skipped) >= 12
    assert_whole(product, names(24))
    # At most the units that were running at each of the two deaths were done again.
    assert len(noted(product, "ended")) <= 24 + 2 * 2


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_does_not_block_the_run(product, ledger, start_cluster, monkeypatch):
    """A suspended scheduler keeps its connections open: nothing shows that it is gone."""
    monkeypatch.setattr(cluster, "ANSWER", 1.0)
    existing = start_cluster(workers=1)

    def freeze(over):
        wait_until(lambda: noted(product, "ended"))
        existing.scheduler.send_signal(signal.SIGSTOP)
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGTERM)

    with meanwhile(freeze), pytest.raises(Interrupted, match="run the same command again to go on"):
        run(product, Dask(scheduler=existing.address), names(100), work=FileWork(product, 0.3), grace=2.0)
    assert ledger.done()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_another_cluster(product, start_cluster, monkeypatch):
    """In one process: the client of a dead scheduler gives up, and the next call uses another cluster."""
    existing = start_cluster(workers=1)
    monkeypatch.setattr(cluster, "CONNECT", 10.0)

    def kill_it_at_work(over):
        while not noted(product, "begun") and not over.wait(0.05):
            pass
        existing.scheduler.kill()

    with meanwhile(kill_it_at_work), pytest.raises(Interrupted, match="scheduler is gone"):
        run(product, Dask(scheduler=existing.address), work=FileWork(product, 1.0))
    run(product, Dask(1))
    assert_whole(product)


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine a worker takes half a minute to start
@pytest.mark.parametrize("mode", ["sys.exit", "graceful", "segfault"])
def test_chaos_workers_die_at_random(product, start_cluster, mode):
    """Dask's own chaos: every worker lives for two seconds on average, and another is started in its place."""
    from distributed.chaos import KillWorker

    units, existing = names(60), start_cluster()  # 12 s for two workers: six lives

    def keep_a_worker(over):
        """What a cluster's manager does."""
        while not over.is_set():
            worker = existing.start_worker()
            while worker.poll() is None and not over.wait(0.1):
                pass
            stop(worker)

    with distributed.Client(existing.address, set_as_default=False) as client:
        client.register_plugin(KillWorker(delay="2 s", mode=mode))
    with meanwhile(keep_a_worker), meanwhile(keep_a_worker):
        outcome = run(product, Dask(scheduler=existing.address), units, work=FileWork(product, 0.4), attempts=20)
    assert not outcome.quarantined
    assert_whole(product, units)
    lives, begun = len(noted(product, "built")), len(noted(product, "begun"))
    print(f"{mode}: {lives} worker processes did {len(units)} units in {begun} attempts")
    assert lives > 2  # successors worked too
