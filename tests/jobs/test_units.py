"""Units are done once each, whatever happens between: nothing lost, nothing twice, what fails is set aside and said."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import harness
import pytest
from jobs import pieces

from jointseg_jax.errors import InputError, StorageError, Unfinished
from jointseg_jax.jobs.executors import Result, Serial, parse_shard
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.units import run_units
from jointseg_jax.storage import files, locks

UNITS = [f"u{number:03d}" for number in range(6)]


def door(product, *arguments, **options):
    """Starts `run_pieces.py`."""
    env = {**os.environ, "PYTHONPATH": f"{harness.ROOT}:{harness.ROOT / 'tests'}", "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.Popen(
        [sys.executable, str(harness.ROOT / "tests" / "jobs" / "run_pieces.py"), f"--product={product}", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, **options,
    )  # fmt: skip


def end(process):
    try:
        out, err = process.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        process.kill()  # its workers end with it
        raise AssertionError("still running after 200 s", *process.communicate()) from None
    return process.returncode, out, err


def await_(condition, process, seconds=100):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def litter(product):
    return list(product.rglob(".partial-*"))


@pytest.mark.quick
def test_all_are_done_once_and_skipped_the_next_time(product, ledger):
    events = []
    outcome = run_units(UNITS[::-1] + UNITS, pieces.Piece(product), ledger, Serial(), on_event=events.append)
    pieces.whole(product, ledger, UNITS)
    assert outcome.done == ledger.done()
    assert outcome.done["u002"]["shape"] == [1, 2]
    assert [(e.kind, e.unit, e.settled, e.total) for e in events] == [
        ("done", unit, number, 6) for number, unit in enumerate(UNITS, 1)
    ]
    assert pieces.notes(product, "begun") == UNITS
    again = run_units(UNITS, pieces.Piece(product), ledger, Serial())
    assert (again.done, again.skipped) == ({}, outcome.done)
    assert pieces.notes(product, "begun") == UNITS
    assert not litter(product)
    again.raise_unfinished()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("harm", "deep"),
    [
        (lambda product: (product / "u001" / "map.bin").unlink(), False),
        (lambda product: os.truncate(product / "u001" / "map.bin", 100), False),
        (lambda product: (product / "u001" / "map.bin").write_bytes(bytes(20_000)), True),
        (lambda product: os.truncate(product / "ledger" / "u001.json", 100), False),
        (lambda product: (product / "ledger" / "u001.json").unlink(), False),
    ],
)
def test_what_is_not_as_the_ledger_says_is_done_again(product, ledger, harm, deep):
    run_units(UNITS, pieces.Piece(product), ledger, Serial())
    harm(product)
    outcome = run_units(UNITS, pieces.Piece(product), ledger, Serial(), deep=deep)
    assert set(outcome.done) == {"u001"}
    pieces.whole(product, ledger, UNITS)


@pytest.mark.quick
@pytest.mark.parametrize("word", ["fail", "refuse", "exit"])
def test_what_keeps_failing_is_set_aside_and_tried_again_by_the_next_run(product, ledger, word):
    events = []
    pieces.cause(product, "u001", word)
    pieces.cause(product, "u003", f"once {word}")
    outcome = run_units(UNITS, pieces.Piece(product), ledger, Serial(), on_event=events.append)
    others = [unit for unit in UNITS if unit != "u001"]
    assert sorted(outcome.done) == others
    assert pieces.notes(product, "begun") == [*UNITS, "u001", "u003", "u001"]
    assert [e.kind for e in events if e.unit == "u001"] == ["failed", "failed", "quarantined"]
    assert [e.kind for e in events if e.unit == "u003"] == ["failed", "done"]
    expected = {"fail": "RuntimeError: u001 fails", "refuse": "scene of u001 is damaged: restore it"}
    assert outcome.quarantined == {"u001": expected.get(word, "SystemExit: 3")}
    assert "trouble" in ledger.quarantined()["u001"]["details"]  # the line of the traceback
    with pytest.raises(Unfinished, match=r"1 of 6 units kept failing and were set aside: u001 \(") as raised:
        outcome.raise_unfinished()
    assert "\n" not in str(raised.value)
    (product / "trouble" / "u001").unlink()
    again = run_units(UNITS, pieces.Piece(product), ledger, Serial())
    assert set(again.done) == {"u001"}
    pieces.whole(product, ledger, UNITS)


@pytest.mark.quick
def test_a_result_that_names_what_is_not_there_is_a_failure(product, ledger):
    outcome = run_units(["a"], lambda unit: Result({}, {"map": product / "nothing"}), ledger, Serial())
    assert "No such file" in outcome.quarantined["a"]
    outcome = run_units(["a"], lambda unit: Result({"x": float("nan")}, {}), ledger, Serial())
    assert "ValueError" in outcome.quarantined["a"]
    assert ledger.done() == {}


@pytest.mark.quick
def test_a_full_disk_ends_the_run_and_loses_nothing(tmp_path):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        ledger = Ledger(disk / "ledger")
        work = pieces.Piece(disk, size=200_000)
        with pytest.raises(StorageError, match=r"No space left.*of 6 units are done and stay done; run the same") as at:
            run_units(UNITS, work, ledger, Serial())
        assert at.value.status == 74
        done = ledger.done()
        assert 2 <= len(done) < 6
        assert f"{len(done)} of 6 units" in str(at.value)
        assert not litter(disk)
        assert not ledger.quarantined()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        outcome = run_units(UNITS, work, ledger, Serial())
        assert outcome.skipped == done
        assert len(ledger.done()) == 6


@pytest.mark.quick
def test_a_disk_too_full_for_a_row_ends_the_run(tmp_path):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        ledger = Ledger(disk / "ledger")
        run_units(["a"], pieces.Piece(disk), ledger, Serial())
        harness.fill(disk)
        work = pieces.Piece(disk, size=0)
        with pytest.raises(StorageError, match="No space left"):
            run_units(["a", "b"], work, ledger, Serial())
        assert set(ledger.done()) == {"a"}


@pytest.mark.quick
def test_a_raster_that_does_not_fit_is_the_disks_fault_not_the_units(tmp_path):
    import numpy as np

    from jointseg_jax.rasters.lattice import Window, make_lattice
    from jointseg_jax.rasters.writer import Layout, cog_writer

    values = np.random.default_rng(0).integers(0, 255, (1000, 1000), np.uint8)
    layout = Layout(make_lattice("EPSG:32650", 0, 0, 1, 1000, 1000), "uint8", ("a",))

    def work(unit):
        path = disk / unit / "map.tif"
        with cog_writer(path, layout, overviews="average") as writer:
            writer.write(values, Window(0, 0, 1000, 1000))
        return Result({}, {"map": path})

    with harness.small_disk(tmp_path / "disk", 3) as disk:
        ledger = Ledger(disk / "ledger")
        with pytest.raises(StorageError, match=r"takes no more .*map.tif cannot be written"):
            run_units(["a", "b", "c"], work, ledger, Serial())
        assert set(ledger.done()) == {"a"}
        assert ledger.check("a", deep=True)
        assert not litter(disk)


@pytest.mark.quick
def test_shards_divide_the_units_between_them(product, ledger):
    units = [f"u{number:03d}" for number in range(11)]
    for i in (2, 0, 1):
        outcome = run_units(units, pieces.Piece(product), ledger, Serial(shard=(i, 3)))
        assert sorted(outcome.done) == units[i::3]
    pieces.whole(product, ledger, units)
    assert sorted(pieces.notes(product, "begun")) == units
    # The order in which units are given does not matter.
    again = run_units(units[::-1], pieces.Piece(product), ledger, Serial(shard=(0, 3)))
    assert sorted(again.skipped) == units[0::3]


@pytest.mark.quick
def test_another_number_of_shards_or_other_units_are_refused_and_one_run_may_end_it(product, ledger):
    work = pieces.Piece(product)
    run_units(UNITS, work, ledger, Serial(shard=(1, 3)))
    with pytest.raises(InputError, match=r"plan.json says that this product is made in 3 shards, not 4: run it in 3"):
        run_units(UNITS, work, ledger, Serial(shard=(1, 4)))
    with pytest.raises(InputError, match=r"plan.json says that the shards of this product divide other units"):
        run_units(UNITS[:-1], work, ledger, Serial(shard=(0, 3)))
    assert sorted(ledger.done()) == UNITS[1::3]
    run_units(UNITS, work, ledger, Serial())
    pieces.whole(product, ledger, UNITS)
    (ledger.folder / "shards" / "plan.json").write_text("torn{")
    run_units(UNITS, work, ledger, Serial(shard=(1, 4)))
    assert files.read_json(ledger.folder / "shards" / "plan.json")["shards"] == 4


@pytest.mark.quick
def test_two_runs_on_one_product_are_refused_unless_they_are_its_shards(product, ledger):
    work = pieces.Piece(product)
    whole, first, second = Serial(), Serial(shard=(0, 2)), Serial(shard=(1, 2))

    def inside(executor, others):
        """Tries the others while a unit is in hand."""

        def busy(unit):
            for other, allowed in others:
                if allowed:
                    run_units(UNITS, work, ledger, other)
                else:
                    with pytest.raises(InputError, match=f"in use by another run .process {os.getpid()} on "):
                        run_units(UNITS, work, ledger, other)
            tried.append(unit)
            return work(unit)

        tried = []
        run_units(UNITS, busy, ledger, executor)
        assert tried
        for unit in UNITS:
            (ledger.folder / f"{unit}.json").unlink(missing_ok=True)

    inside(whole, [(whole, False), (first, False)])
    inside(first, [(whole, False), (first, False), (second, True)])


@pytest.mark.quick
@pytest.mark.parametrize("text", ["", "1", "1/2/3", "a/b", "-1/2", "2/2", "0/0", "1.0/2", "3/2"])
def test_shards_that_do_not_exist_are_refused(text):
    with pytest.raises(InputError, match="shard"):
        Serial(parse_shard(text))
    assert parse_shard("3/16") == (3, 16)


@pytest.mark.quick
def test_a_folder_that_cannot_be_locked_is_not_called_in_use(tmp_path, monkeypatch):
    """What a file system without locks answers."""
    import errno
    import fcntl

    def unsupported(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(InputError, match="without locks"), locks.exclusive(tmp_path, "run"):
        pass


def test_sigterm_lets_the_unit_in_hand_end(product, ledger):
    process = door(product, "--seconds=1")
    await_(lambda: len(pieces.notes(product, "begun")) == 2, process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    status, out, err = end(process)
    assert status == 75, out + err
    assert "stopped: 2 of 6 units are done and stay done; run the same command again" in err
    assert "Traceback" not in out + err
    assert set(ledger.done()) == {"u000", "u001"}
    assert end(door(product))[0] == 0
    pieces.whole(product, ledger, UNITS)
    assert pieces.notes(product, "begun") == UNITS


@pytest.mark.parametrize("word", ["", "hang"])
def test_sigterm_drops_a_unit_that_takes_longer_than_the_grace(product, ledger, word):
    pieces.cause(product, "u001", word)
    process = door(product, "--seconds=30" if not word else "--seconds=0", "--grace=0.5")
    wanted = 1 if not word else 2
    await_(lambda: len(pieces.notes(product, "begun")) == wanted, process)
    time.sleep(0.2)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status, out, err = end(process)
    assert 0.4 < time.monotonic() - asked < 8
    assert status == 75, out + err
    assert "Traceback" not in out + err
    assert not litter(product)
    assert len(ledger.done()) == wanted - 1
    assert ledger.kills("u000") == ledger.kills("u001") == 0  # it was dropped, not killed
    pieces.cause(product, "u001", "")
    assert end(door(product))[0] == 0
    pieces.whole(product, ledger, UNITS)


def test_ctrl_c_twice_ends_at_once(product, ledger):
    process = door(product, "--seconds=60")
    await_(lambda: pieces.notes(product, "begun"), process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 130


def test_a_second_run_is_refused_and_a_killed_one_is_gone_on_with(product, ledger):
    pieces.cause(product, "u002", "hang")
    process = door(product)
    await_(lambda: len(pieces.notes(product, "begun")) == 3, process)
    status, _, err = end(door(product))
    assert status == 2
    assert f"in use by another run (process {process.pid} on " in err
    assert err.count("\n") == 1
    process.kill()
    process.communicate()
    done = ledger.done()
    assert set(done) == {"u000", "u001"}
    assert ledger.kills("u002") == 1
    pieces.cause(product, "u002", "")
    status, out, err = end(door(product))
    assert status == 0, out + err
    pieces.whole(product, ledger, UNITS)
    assert {unit: ledger.row(unit) for unit in done} == done
    # The unit over which a process was killed waits until the others are done.
    assert pieces.notes(product, "begun") == ["u000", "u001", "u002", "u003", "u004", "u005", "u002"]
    assert pieces.notes(product, "ended")[-1] == "u002"


def test_a_unit_that_kills_its_process_is_set_aside_after_three_kills(product, ledger):
    """Out of memory, or a fault in a library: without it the same command would die of the same unit forever."""
    pieces.cause(product, "u001", "die")
    ends = [end(door(product)) for _ in range(4)]
    assert [status for status, _, _ in ends] == [-9, -9, -9, 4]
    assert re.search(r"^error: 1 of 6 units kept failing .* u001 \(its process was killed 3 times", ends[-1][2])
    assert sorted(ledger.done()) == [unit for unit in UNITS if unit != "u001"]
    assert [unit for unit in pieces.notes(product, "begun") if unit == "u001"] == ["u001"] * 3
    # After the first kill the others come first.
    assert pieces.notes(product, "begun") == ["u000", "u001", "u002", "u003", "u004", "u005", "u001", "u001"]
    (product / "trouble" / "u001").unlink()
    assert end(door(product))[0] == 0
    pieces.whole(product, ledger, UNITS)


def test_status_four_and_the_list(product, ledger):
    for unit in ("u001", "u004"):
        pieces.cause(product, unit, "refuse")
    status, _, err = end(door(product))
    assert status == 4
    assert err == (
        "error: 2 of 6 units kept failing and were set aside: u001 (scene of u001 is damaged: restore it); "
        "u004 (scene of u004 is damaged: restore it) (running again tries them again)\n"
    )
    assert json.loads((ledger.folder / "quarantine" / "u001.json").read_text())["error"].startswith("scene of u001")


@pytest.mark.slow
def test_soak_of_kills(product, ledger):
    """SIGKILL and SIGTERM at random moments: every unit is done, and no row ever tells of what is not there."""
    import random

    random_ = random.Random(0)
    units = [f"u{number:03d}" for number in range(60)]
    ends = []
    while not ends or ends[-1] not in (0, 4):
        process = door(product, "--units=60", "--seconds=0.05", "--grace=0.03")
        at = len(pieces.notes(product, "begun"))
        await_(lambda: process.poll() is not None or len(pieces.notes(product, "begun")) > at, process)  # noqa: B023
        time.sleep(random_.uniform(0, 0.6))
        process.send_signal(random_.choice([signal.SIGKILL, signal.SIGTERM]))
        ends.append(end(process)[0])
        assert all(ledger.check(unit, deep=True) for unit in ledger.done())
    assert ends.count(-9) > 1
    assert ends.count(75) > 1
    pieces.whole(product, ledger, units)
    ended = pieces.notes(product, "ended")
    assert len(ended) - len(units) <= ends.count(-9) + ends.count(75)  # what was killed between file and row
