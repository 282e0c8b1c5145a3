"""Runs that take seconds: a network of a few hundred parameters on one device, in this process or in one of its own."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

import jax
import pytest

from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.set_up import set_up

ROOT = pathlib.Path(__file__).parents[1]
_STUDY = """
import pathlib
import sys

sys.path.insert(0, {tests!r})
import toy

from jointseg_jax.configs import common

FOLDS = ("three",)


def get_config(arg=None):
    given = common.parse_arg(arg, fold="three", control="bilinear", dates="1")
    config = toy.scenes(pathlib.Path({raw!r}), "unset", control=given.control, dates=given.dates)
    config.steps, config.validate_every, config.checkpoint_every = 2, 2, 2
    config.mesh.data, config.panels = 1, 0
    return config
"""


def speck(config):
    """Makes a toy config tiny, in place."""
    config.data.inputs = ("s2", "s1")
    config.data.batch = 2
    config.data.threads = 1
    config.mesh.data = 1
    config.model.control = "bilinear"
    config.model.lattices = ("1", "10")
    config.model.widths = (2, 4)
    config.model.dilations = (1,)
    config.panels = 0
    config.validate_patches = 4
    return config


def config_file(config, folder):
    """A config as a file for `train.py`, and that file's flag."""
    (folder / "config.json").write_text(config.to_json_best_effort())
    path = folder / "experiment.py"
    path.write_text(
        "import json, pathlib\nfrom ml_collections import ConfigDict\n\n\n"
        "def get_config():\n"
        "    return ConfigDict(json.loads(pathlib.Path(__file__).with_name('config.json').read_text()))\n"
    )
    return f"--config={path}"


def study(folder, rows):
    """A study of one fold of simulated scenes and two steps: its config file; `rows` is the text of `ablations.py`."""
    (folder / "ablations.py").write_text(rows)
    path = folder / "experiment.py"
    path.write_text(_STUDY.format(tests=str(pathlib.Path(__file__).parent), raw=str(folder / "raw")))
    return path


def launch(*arguments, **options):
    """Starts `train.py` in a process of its own."""
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "train.py", *arguments], cwd=ROOT, env=env, **options)


def run(*arguments, **options):
    """Runs `train.py` to its end: exit status, stdout, stderr."""
    process = launch(*arguments, **options)
    out, err = process.communicate()
    return process.returncode, out, err


def lines(workdir, kind=None):
    """The records of a run's log.jsonl."""
    found = [json.loads(line) for line in (workdir / "log.jsonl").read_text().splitlines()]
    return [line for line in found if kind in (None, line["kind"])]


def final_state(config, workdir):
    """The newest checkpoint's state as host arrays, and its calibration."""
    checkpoints = Stored(workdir)
    step = checkpoints.steps[-1]
    state = checkpoints.restore(set_up(config).abstract(), step)
    return jax.tree.leaves(jax.device_get(state)), checkpoints.meta(step).calibration, checkpoints.best()


@contextlib.contextmanager
def small_disk(folder, megabytes):
    """A file system of so many megabytes, mounted for the block; skips where that is not permitted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder, leave=0):
    """Fills a file system but for `leave` bytes, with a file that is returned."""
    path = folder / f"filler{time.monotonic_ns()}"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    for size in (4096, 64):
        with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(size)) == size:
                pass
    if leave:
        os.truncate(path, path.stat().st_size - leave)
    return path
