"""The death of a worker costs one attempt of the unit that it was doing, and nothing else."""

import contextlib
import json
import random
import shutil
import time

import psutil
import pytest
from jobs.file_work import FileWork, assert_whole, make_trouble, names, noted, partial_files, run
from jobs.processes import meanwhile, own_workers

from jointseg_jax.errors import Unfinished
from jointseg_jax.jobs import cluster
from jointseg_jax.jobs.cluster import Dask

pytestmark = pytest.mark.timeout(300)


def test_a_worker_that_dies_costs_one_attempt_of_its_unit(product, ledger):
    """No other unit waits in a worker that dies."""
    units, events = names(14), []
    for unit, word in (("u003", "die"), ("u004", "once die"), ("u005", "fail"), ("u006", "exit")):
        make_trouble(product, unit, word)
    outcome = run(product, Dask(2), units, work=FileWork(product, 0.1), on_event=events.append)
    assert {e.unit for e in events if e.kind == "failed"} == {"u003", "u004", "u005", "u006"}
    begun = noted(product, "begun")
    assert [begun.count(unit) for unit in ("u003", "u005", "u006")] == [3, 3, 3]
    assert outcome.quarantined.keys() == {"u003", "u005", "u006"}
    assert outcome.quarantined["u003"].startswith("its process died")
    assert outcome.quarantined["u005"] == "RuntimeError: u005 fails"
    record = json.loads((ledger.folder / "quarantine" / "u005.json").read_text())
    assert "self.fail(unit)" in record["details"]
    assert [e.kind for e in events if e.unit == "u004"] == ["failed", "done"]
    shutil.rmtree(product / "trouble")
    run(product, units=units)
    assert_whole(product, units)


@pytest.mark.slow
def test_units_that_kill_their_worker_do_not_affect_others(product):
    """200 units, five of which kill their worker each time."""
    units, events = names(200), []
    poison = units[7::40]
    for unit in poison:
        make_trouble(product, unit, "die")
    outcome = run(product, Dask(2), units, work=FileWork(product, 0.02), on_event=events.append)
    assert sorted(outcome.quarantined) == poison
    assert len(outcome.done) == 195
    assert {e.unit for e in events if e.kind == "failed"} == set(poison)
    begun = noted(product, "begun")
    assert all(begun.count(unit) == 3 for unit in poison)
    # A finished unit is done again if its worker dies before the result was fetched.
    assert len(begun) - len(units) - 2 * len(poison) <= 3 * len(poison)


@pytest.mark.slow
def test_a_worker_that_dies_while_it_starts_is_started_again(product):
    """Dask's nanny gives up such a worker for good, and the cluster would shrink without a message."""
    units, killed = names(40), []
    make_trouble(product, "u000", "once die")

    def kill_the_successor(over):
        known = set()
        while not over.wait(0.005) and not killed:
            begun = noted(product, "begun")
            for worker in own_workers():
                if begun and worker.pid not in known:  # in place of the one that died of u000
                    with contextlib.suppress(psutil.NoSuchProcess):
                        worker.kill()
                    killed.append(worker.pid)
                known.add(worker.pid)

    with meanwhile(kill_the_successor):
        run(product, Dask(2), units, work=FileWork(product, 1.0))
    assert_whole(product, units)
    assert killed
    built = noted(product, "built")
    assert str(killed[0]) not in built
    assert len(built) == 3  # the one that died, its neighbour, and the successor of the one that was killed


@pytest.mark.slow
def test_chaos_local_workers_are_killed_at_random(product):
    """SIGKILL at random moments, with more attempts than there are kills."""
    units, random_, kills, events = names(60), random.Random(0), [], []

    def kill(over):
        after = 3
        while not over.wait(random_.uniform(0, 0.2)):
            workers, ended = own_workers(), len(noted(product, "ended"))
            if workers and ended >= after:  # by progress: a slow machine would start workers in vain
                with contextlib.suppress(psutil.NoSuchProcess):
                    random_.choice(workers).kill()
                    kills.append(1)
                    after = ended + random_.randint(3, 10)

    with meanwhile(kill):
        outcome = run(product, Dask(2), units, work=FileWork(product, 0.2), attempts=10, on_event=events.append)
    assert_whole(product, units)
    assert len(outcome.done) == 60
    assert len(kills) > 2
    begun = len(noted(product, "begun"))
    print(f"{len(kills)} kills, {begun} attempts at {len(units)} units")
    assert begun <= len(units) + 2 * len(kills)  # the unit that ran, and one whose result was not fetched yet
    assert len([e for e in events if e.kind == "failed"]) <= len(kills)
    assert len(partial_files(product)) <= len(kills)


@pytest.mark.slow
def test_a_local_cluster_that_keeps_no_worker_ends_the_run(product, monkeypatch):
    monkeypatch.setattr(cluster, "NO_WORKERS", 3.0)

    def keep_killing(over):
        while not over.wait(0.02):
            for worker in own_workers() if noted(product, "begun") else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()

    with meanwhile(keep_killing), pytest.raises(Unfinished, match="no worker process has run"):
        run(product, Dask(1), work=FileWork(product, 0.5), attempts=100)
    time.sleep(0.1)
    run(product, Dask(1))
    assert_whole(product)
