"""jointseg monitor as a user runs it: what it says to a user who errs, and a run that is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from year_products import YEARS

from jointseg_jax.commands import monitor as command
from jointseg_jax.storage.files import sha256

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--maps=DATE:DIR"),
        (["--maps=2017:a,2019:b", "--years=2017,2019"], "give either"),
        (["--maps=2017:a"], "at least two dates"),
        (["--maps=2017:a,2019:b"], "is no map that `jointseg predict` wrote"),
        (["--maps=2017:a,2019:b", "--tile=5"], "--tile applies only to mapping"),
        (["--maps=2017:a,2019:b", "--period_of_year=05-01/09-30"], "--period_of_year applies only"),
        (["--years=2017,2019"], "--workdir is missing"),
        (["--maps=2017:a,2019:b", "--prior=1"], "--prior=1"),
        (["--maps=2017:a,2019:b", "--gain=0.5"], "--gain=0.5"),
        (["--maps=2017:a,2019:b", "--irreversible", "--loss=0.1"], "--irreversible has no loss"),
        (["--maps=2017:a,2019:b", "--region_name=x"], "add --regions"),
        (["--maps=2017:a,2019:b", "--regions=nowhere.gpkg"], "does not exist"),
        (["--maps=2017:a,2019:b", "--shard=0/2"], "--executor=shard"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_errors_are_one_line_and_nothing_is_written(tmp_path, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    try:
        assert command.main([f"--output={tmp_path / 'out'}", *flags]) == 2
    finally:
        command.FLAGS.values.unparse_flags()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def bits(folder):
    return {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / "tiles").rglob("*.tif"))}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_second_process_is_refused(years, monitor, tmp_path):
    """The bits are those of a run in one go."""
    line = [sys.executable, "monitor.py", f"--maps={','.join(f'{y}:{years[y]}' for y in YEARS)}",
            f"--output={tmp_path / 'out'}", "--prior=0.5"]  # fmt: skip
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    process = subprocess.Popen(line, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 500
    while not list((tmp_path / "out" / "inputs" / "ledger").glob("*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert process.poll() is not None or second.returncode == 2, second.stderr
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert bits(tmp_path / "out") == bits(monitor[0])
