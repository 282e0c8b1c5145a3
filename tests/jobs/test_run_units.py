"""Units are done once each; units that fail are tried again, set aside and reported."""

import json
import os
import re

import pytest
from jobs.file_work import UNITS, FileWork, assert_whole, make_trouble, noted, partial_files, run, set_aside
from jobs.processes import end, start

from jointseg_jax.errors import Unfinished
from jointseg_jax.jobs.progress import progress_bar


@pytest.mark.quick
def test_units_are_done_once_and_skipped_the_next_time(product, ledger):
    events = []
    outcome = run(product, units=UNITS[::-1] + UNITS, on_event=events.append)
    assert_whole(product)
    assert outcome.done == ledger.done()
    assert outcome.done["u002"]["shape"] == [1, 2]
    assert [(e.kind, e.unit, e.value, e.settled, e.total) for e in events] == [
        ("done", unit, ledger.row(unit), number, 6) for number, unit in enumerate(UNITS, 1)
    ]
    assert noted(product, "begun") == UNITS
    again = run(product)
    assert (again.done, again.skipped) == ({}, outcome.done)
    assert noted(product, "begun") == UNITS
    assert not partial_files(product)
    again.raise_unfinished()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("damage", "deep"),
    [
        (lambda product: (product / "u001" / "map.bin").unlink(), False),
        (lambda product: os.truncate(product / "u001" / "map.bin", 100), False),
        (lambda product: (product / "u001" / "map.bin").write_bytes(bytes(20_000)), True),
        (lambda product: os.truncate(product / "ledger" / "u001.json", 100), False),
        (lambda product: (product / "ledger" / "u001.json").unlink(), False),
    ],
)
def test_units_whose_files_or_rows_were_damaged_are_done_again(product, damage, deep):
    run(product)
    damage(product)
    assert set(run(product, deep=deep).done) == {"u001"}
    assert_whole(product)


@pytest.mark.quick
@pytest.mark.parametrize("word", ["fail", "refuse", "exit"])
def test_a_unit_that_keeps_failing_is_set_aside_and_tried_again_by_the_next_run(product, ledger, word):
    events = []
    make_trouble(product, "u001", word)
    make_trouble(product, "u003", f"once {word}")
    outcome = run(product, on_event=events.append)
    assert sorted(outcome.done) == [unit for unit in UNITS if unit != "u001"]
    assert noted(product, "begun") == [*UNITS, "u001", "u003", "u001"]
    assert [e.kind for e in events if e.unit == "u001"] == ["failed", "failed", "quarantined"]
    assert [e.kind for e in events if e.unit == "u003"] == ["failed", "done"]
    expected = {"fail": "RuntimeError: u001 fails", "refuse": "scene of u001 is damaged: restore it"}
    assert outcome.quarantined == {"u001": expected.get(word, "SystemExit: 3")}
    record = json.loads((ledger.folder / "quarantine" / "u001.json").read_text())
    assert record["error"] == outcome.quarantined["u001"]
    assert "self.fail(unit)" in record["details"]  # a line of the traceback
    with pytest.raises(Unfinished, match=r"1 of 6 units kept failing and were set aside: u001 \(") as raised:
        outcome.raise_unfinished()
    assert "\n" not in str(raised.value)
    (product / "trouble" / "u001").unlink()
    assert set(run(product).done) == {"u001"}
    assert_whole(product)


@pytest.mark.quick
def test_a_row_that_cannot_be_written_is_a_failure_of_its_unit(product, ledger):
    outcome = run(product, units=["a"], work=lambda unit: ledger.add(unit, {}, {"map": product / "nothing"}))
    assert "No such file" in outcome.quarantined["a"]
    outcome = run(product, units=["a"], work=lambda unit: ledger.add(unit, {"x": float("nan")}, {}))
    assert "ValueError" in outcome.quarantined["a"]
    assert ledger.done() == {}


@pytest.mark.quick
def test_an_attempt_that_fails_after_its_row_is_written_is_done(product):
    """So ends a worker that dies, or loses its scheduler, before it has returned the row."""
    work = FileWork(product)

    def fails_late(unit):
        work(unit)
        raise OSError

    assert set(run(product, work=fails_late).done) == set(UNITS)
    assert_whole(product)
    assert noted(product, "begun") == UNITS


@pytest.mark.quick
@pytest.mark.parametrize("unit", ["../a", ".a", "a/b", "a\0"])
def test_names_that_are_no_names_of_files_are_refused(product, unit):
    with pytest.raises(ValueError, match="cannot name a unit of work"):
        run(product, units=[unit], work=lambda unit: 1)


def test_the_list_of_units_that_were_set_aside_and_status_4(product):
    for unit in ("u001", "u004"):
        make_trouble(product, unit, "refuse")
    status, _, err = end(start(product))
    assert status == 4
    assert err == (
        "error: 2 of 6 units kept failing and were set aside: u001 (scene of u001 is damaged: restore it); "
        "u004 (scene of u004 is damaged: restore it) (running again tries them again)\n"
    )
    assert set_aside(product) == ["u001", "u004"]


def test_a_unit_that_kills_its_process_is_set_aside_after_three_kills(product, ledger):
    """Out of memory, or a fault in a library: otherwise the same command would die of the same unit each time."""
    make_trouble(product, "u001", "die")
    ends = [end(start(product)) for _ in range(4)]
    assert [status for status, _, _ in ends] == [-9, -9, -9, 4]
    assert re.search(r"^error: 1 of 6 units kept failing .* u001 \(its process was killed 3 times", ends[-1][2])
    assert sorted(ledger.done()) == [unit for unit in UNITS if unit != "u001"]
    # After the first kill the others come first.
    assert noted(product, "begun") == ["u000", "u001", "u002", "u003", "u004", "u005", "u001", "u001"]
    (product / "trouble" / "u001").unlink()
    assert end(start(product))[0] == 0
    assert_whole(product)


@pytest.mark.quick
@pytest.mark.parametrize("logged", [True, False])
def test_the_bar_shows_units_ground_and_failures(product, capsys, logged):
    make_trouble(product, "u001", "once fail")
    run(product, units=["u000"])
    with progress_bar("tile", dict.fromkeys(UNITS, 2.5), "h", logged=logged) as tell:
        run(product, on_event=tell)
    err = capsys.readouterr().err
    assert "tile u001 failed and will be tried again: RuntimeError: u001 fails" in err
    assert (re.search(r"\| 6/6 \[.*, [\d.e+]+ km2/h\]", err) is not None) == logged
