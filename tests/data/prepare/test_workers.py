"""Sites are prepared in parallel: the same dataset, whichever process is killed, and bad sites stop no others."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import harness
import pytest
import toy

from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare import preparation
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site_work import SiteWork
from jointseg_jax.errors import InputError, Unfinished
from jointseg_jax.storage.files import sha256

pytestmark = pytest.mark.timeout(300)


def digests(root):
    return {path.relative_to(root): sha256(path) for path in root.rglob("*") if path.is_file() and path.name[0] != "."}


@pytest.mark.slow
def test_two_workers_make_the_same_dataset_and_report_a_bad_site(own, tmp_path):
    root, config = own
    lines: list[str] = []
    whole = (root / "b" / "s2.tif").read_bytes()
    (root / "b" / "s2.tif").write_bytes(whole[:-2000])
    with pytest.raises(InputError, match=r"1 of 4 sites could not be prepared \(b\); the first: .*b/s2\.tif"):
        prepare(config, say=lines.append, workers=2)
    assert sum(", prepared" in line for line in lines) == 3
    assert [line.split(": ")[1] for line in lines if "] b: " in line] == ["FAILED"]
    assert not (tmp_path / "dataset" / "dataset.json").exists()
    (root / "b" / "s2.tif").write_bytes(whole)
    made = prepare(config, say=toy.quiet, workers=2)
    config.path = str(tmp_path / "serial")
    assert digests(made.root) == digests(prepare(config, say=toy.quiet).root)
    assert not (made.root / preparation.RUN).exists()


@dataclasses.dataclass(frozen=True)
class Killed(SiteWork):
    """Kills its process for site `b`, as a fault of a raster library does."""

    def __call__(self, name):
        if name == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(name)


@dataclasses.dataclass(frozen=True)
class Defective(SiteWork):
    """Has a defect that site `b` reveals."""

    def __call__(self, name):
        return super().__call__(name if name == "b" else name.upper())


@pytest.mark.slow
def test_a_site_that_kills_its_worker_is_reported_and_tried_again_by_the_next_run(own, monkeypatch):
    _, config = own
    lines: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(preparation, "SiteWork", Killed)
        with pytest.raises(Unfinished, match=r"1 of 4 sites could not be prepared \(b\); the first: its process died"):
            prepare(config, say=lines.append, workers=2)
    assert sum(", prepared" in line for line in lines) == 3
    lines.clear()
    assert set(prepare(config, say=lines.append, workers=2).sites) == {"a", "b", "c", "d"}
    assert sum("already there" in line for line in lines) == 3


def test_a_defect_of_the_program_is_no_fault_of_the_input(own, monkeypatch):
    _, config = own
    monkeypatch.setattr(preparation, "SiteWork", Defective)
    with pytest.raises(Unfinished, match=r"3 of 4 sites .* the first: KeyError: 'A' \(details in .*quarantine"):
        prepare(config, say=toy.quiet)
    assert "Traceback" in (pathlib.Path(config.path) / preparation.RUN / "quarantine/a.json").read_text()


@pytest.mark.slow  # a second process imports the door
def test_of_two_preparations_at_once_the_second_is_refused_and_nothing_is_lost(config, own):
    root, dataset = own
    command = [sys.executable, "prepare.py", harness.config_file(config, root), "--workers=1"]
    others = []

    def run_another(line):
        if line.startswith("[1/4]"):
            others.append(subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, check=False))

    made = prepare(dataset, say=run_another)
    (other,) = others
    assert other.returncode == 2, other.stdout + other.stderr
    (sentence,) = other.stderr.splitlines()
    assert sentence.startswith(f"error: {made.root} is in use by another preparation (process {os.getpid()} on ")
    before = digests(made.root)
    again = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, check=False)
    assert again.stdout.count(", already there") == 4, again.stdout + again.stderr
    assert before.items() <= digests(made.root).items()  # the door adds the report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "number", "status"),
    [(1, signal.SIGKILL, -9), (1, signal.SIGTERM, 75), (2, signal.SIGKILL, -9), (2, signal.SIGINT, 75)],
)
def test_a_preparation_that_is_stopped_keeps_its_sites(config, tmp_path, workers, number, status):
    toy.write_table(tmp_path / "raw", 60, 60, "abcdefgh")  # more than are in work at once
    config.dataset.split.table.train = tuple("abefgh")
    config.dataset.source.root, config.dataset.path = str(tmp_path / "raw"), str(tmp_path / "dataset")
    command = [sys.executable, "prepare.py", harness.config_file(config, tmp_path), f"--workers={workers}"]
    options = {"cwd": harness.ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **options)
    sites = tmp_path / "dataset" / "sites"
    while not list(sites.glob("?/site.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert process.returncode == status, out + err
    assert "Traceback" not in out + err
    if status == 75:
        assert "sites are done and stay done; run the same command again to go on" in err
        assert not list(sites.glob(".partial*"))
    kept = {path: path.stat().st_mtime_ns for path in sites.glob("?/*")}
    assert not (tmp_path / "dataset" / "dataset.json").exists()
    again = subprocess.run(command, **options, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count(", already there") == len({path.parent for path in kept})
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in sites.glob("?/*")}.items()
    assert not list(sites.glob(".partial*"))
    assert set(load(tmp_path / "dataset").sites) == set("abcdefgh")
