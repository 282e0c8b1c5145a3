"""SIGTERM, Ctrl-C and SIGKILL: finished units stay done, and the same command goes on."""

import os
import random
import re
import signal
import time

import psutil
import pytest
from jobs.file_work import UNITS, assert_whole, make_trouble, names, noted, partial_files
from jobs.processes import end, start, wait_until

from jointseg_jax.jobs.run_folder import RunFolder


def test_sigterm_lets_the_running_unit_end(product, ledger):
    process = start(product, "--seconds=2")
    wait_until(lambda: len(noted(product, "begun")) == 2, process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    status, out, err = end(process)
    assert status == 75, out + err
    assert "stopped: 2 of 6 units are done and stay done; run the same command again" in err
    assert "Traceback" not in out + err
    assert set(ledger.done()) == {"u000", "u001"}
    assert end(start(product))[0] == 0
    assert_whole(product)
    assert noted(product, "begun") == UNITS


@pytest.mark.parametrize("hang", [False, True])
def test_sigterm_drops_a_unit_that_takes_longer_than_the_grace(product, ledger, hang):
    make_trouble(product, "u001", "hang" if hang else "")
    process = start(product, f"--seconds={0 if hang else 30}", "--grace=0.5")
    wait_until(lambda: len(noted(product, "begun")) == 1 + hang, process)
    time.sleep(0.2)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status, out, err = end(process)
    assert 0.4 < time.monotonic() - asked < 25  # a unit would take 30
    assert status == 75, out + err
    assert "Traceback" not in out + err
    assert not partial_files(product)
    assert len(ledger.done()) == hang
    assert [RunFolder(ledger.folder).kills(unit) for unit in UNITS] == [0] * 6  # it was dropped, not killed
    make_trouble(product, "u001", "")
    assert end(start(product))[0] == 0
    assert_whole(product)


def test_ctrl_c_twice_ends_at_once(product):
    process = start(product, "--seconds=60")
    wait_until(lambda: noted(product, "begun"), process)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "\n"  # it heard the first one
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 130


def test_a_second_run_is_refused_and_a_killed_run_is_resumed(product, ledger):
    make_trouble(product, "u002", "hang")
    process = start(product)
    wait_until(lambda: len(noted(product, "begun")) == 3, process)
    status, _, err = end(start(product))
    assert status == 2
    assert f"in use by another run (process {process.pid} on " in err
    assert err.count("\n") == 1
    process.kill()
    process.communicate()
    done = ledger.done()
    assert set(done) == {"u000", "u001"}
    assert RunFolder(ledger.folder).kills("u002") == 1
    make_trouble(product, "u002", "")
    status, out, err = end(start(product))
    assert status == 0, out + err
    assert_whole(product)
    assert {unit: ledger.row(unit) for unit in done} == done
    # The unit during which a process was killed waits until the others are done.
    assert noted(product, "begun") == ["u000", "u001", "u002", "u003", "u004", "u005", "u002"]
    assert noted(product, "ended")[-1] == "u002"


@pytest.mark.slow
def test_sigterm_and_sigkill_leave_no_workers(product, ledger):
    for number, (signal_, status) in enumerate([(signal.SIGTERM, 75), (signal.SIGKILL, -9)], 1):
        process = start(product, "--workers=2", "--seconds=0.7", "--grace=5", "--units=30")
        wait_until(lambda: len(noted(product, "begun")) >= 6 * number, process)  # noqa: B023
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
            assert len(ledger.done()) == len(noted(product, "begun"))  # the running units ended
    status, out, err = end(start(product, "--workers=2", "--units=30"))
    assert status == 0, out + err
    assert_whole(product, names(30))


@pytest.mark.slow
def test_ctrl_c_reaches_the_run_and_not_its_workers(product, ledger):
    """A terminal sends it to the whole process group."""
    process = start(product, "--workers=2", "--seconds=0.7", "--units=30", start_new_session=True)
    wait_until(lambda: len(noted(product, "begun")) >= 4, process)
    os.killpg(process.pid, signal.SIGINT)
    status, out, err = end(process)
    assert status == 75, out + err
    assert "Traceback" not in out + err
    assert len(ledger.done()) == len(noted(product, "begun"))


@pytest.mark.slow
def test_soak_of_kills(product, ledger):
    """SIGKILL and SIGTERM in turn: every unit is done, and the files of every row are there all the time."""
    random_, ends = random.Random(0), []
    while not ends or ends[-1] != 0:
        process = start(product, "--units=60", "--seconds=0.05", "--grace=0.03", "--attempts=100")
        at = len(noted(product, "begun"))
        wait_until(lambda: process.poll() is not None or len(noted(product, "begun")) > at, process)  # noqa: B023
        time.sleep(random_.uniform(0, 0.6))
        process.send_signal((signal.SIGKILL, signal.SIGTERM)[len(ends) % 2])
        status, out, err = end(process)
        assert status in (0, 75, -signal.SIGKILL), out + err
        ends.append(status)
        assert all(ledger.find(unit, deep=True) for unit in ledger.done())
    assert ends.count(-9) > 1
    assert ends.count(75) > 1
    assert_whole(product, names(60))
    # Only units that were killed between file and row were done again.
    assert len(noted(product, "ended")) - 60 <= ends.count(-9) + ends.count(75)
