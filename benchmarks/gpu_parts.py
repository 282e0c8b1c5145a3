"""Parts of `benchmarks/gpu_day.py` that no other benchmark measures; each writes one JSON file.

    python -m benchmarks.gpu_parts device --output=FILE [--small]
    python -m benchmarks.gpu_parts start --preset=default --workdir=W --steps=300 --output=FILE
    python -m benchmarks.gpu_parts halo --preset=default --workdir=W --halos=8,16,32 --reference=64 --output=FILE
    python -m benchmarks.gpu_parts mapping --preset=paper --workdir=W --size=1024 --tile=256 --output=FILE

device    the machine, and its peaks
start     seconds until a training has done its first step: with nothing compiled, and again
halo      change of the probability by the halo, in float32 and bfloat16, and between the two
mapping   `benchmarks/mapping.py` with the network of W; without a checkpoint there, with fresh weights
"""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.boxes import ROOT, python, save
from benchmarks.machine import machine
from benchmarks.peaks import SIZES, peaks, probes
from benchmarks.timing import interleave
from jointseg_jax import cli
from jointseg_jax.bounds.number import whole

SITE = "downstream-3"  # of the landscape of the presets: the city
MAPPING_HALO = 48  # input pixels, set: measuring it would compile a program for every candidate
_ROUNDS, _AIM = 5, 0.5  # turns of each probe, seconds of a turn


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one part; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pixels = cli.number(whole(1, 100_000, unit="input pixels"))
    parser.add_argument("part", choices=("device", "start", "halo", "mapping"))
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--workdir", type=pathlib.Path)
    parser.add_argument("--small", action="store_true", help="probes of the size for CPUs, short turns")
    parser.add_argument("--steps", type=cli.number(whole(1, unit="steps")), default=300)
    parser.add_argument("--halos", default="8,16,32")
    parser.add_argument("--reference", type=pixels, default=64)
    parser.add_argument("--size", type=pixels, default=1024)
    parser.add_argument("--tile", type=pixels, default=256)

    def work() -> None:
        given = parser.parse_args(arguments)
        {"device": device, "start": start, "halo": halo, "mapping": mapping}[given.part](given)

    return cli.status_of(work)


def device(given: argparse.Namespace) -> None:
    """The machine first, then its peaks: a cut leaves the machine."""
    import jax

    memory = jax.local_devices()[0].memory_stats() or {}
    record: dict[str, Any] = {"machine": machine(), "devices": jax.device_count(), "driver": _driver()}
    record["memory_bytes"] = memory.get("bytes_limit")
    save(given.output, record)
    entered = probes(SIZES["cpu" if given.small else "gpu"])
    rounds, aim = (2, 0.05) if given.small else (_ROUNDS, _AIM)
    save(given.output, record | {"peaks": dataclasses.asdict(peaks(entered, interleave(entered, rounds, aim=aim)))})


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def start(given: argparse.Namespace) -> None:
    """Prepares the dataset, trains with an empty compilation cache, and once more for a few steps with a full one."""
    began = time.time()
    config = f"--config={ROOT / 'benchmarks' / 'presets.py'}:{given.preset}"
    subprocess.run(python("prepare.py", config), cwd=ROOT, check=True)
    record: dict[str, Any] = {"preset": given.preset, "prepare_seconds": time.time() - began}
    for name, steps in (("cold", given.steps), ("warm", given.steps + 5)):
        began = time.time()
        command = python(
            "train.py", config, f"--workdir={given.workdir}", f"--config.steps={steps}", "--config.log_every=1",
            f"--config.validate_every={steps}", f"--config.checkpoint_every={steps}", "--config.panels=0",
            "--config.validate_patches=16", "--config.optimizer.schedule=constant", "--config.optimizer.warmup=10",
        )  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        record[name] = _times(given.workdir / "log.jsonl", began) | {"seconds": time.time() - began}
        save(given.output, record)


def _times(log: pathlib.Path, began: float) -> dict[str, float]:
    """Seconds from the start of a run to its first and last step, and patches/s of its last step."""
    rows = [row for row in map(json.loads, log.read_text().splitlines()) if row["time"] >= began]
    steps = [row for row in rows if row["kind"] == "train"]
    return {
        "first_step_seconds": steps[0]["time"] - began,
        "last_step_seconds": steps[-1]["time"] - began,
        "steps": len(steps),
        "patches_per_second": steps[-1]["patches_per_second"],
    }


def halo(given: argparse.Namespace) -> None:
    """Compares contexts in both dtypes; every figure is written at once."""
    import jax.numpy as jnp
    import numpy as np

    from jointseg_jax.mapping.predictor.halo import crops, probabilities
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache

    use_compilation_cache()
    trained = _trained(given)
    scene = _data(given.preset).scene(SITE, trained.meta.contract)
    windows = crops(scene)
    record: dict[str, Any] = {"step": trained.step, "crops": len(windows), "reference": given.reference}
    full = {}
    for dtype in ("float32", "bfloat16"):
        full[dtype] = probabilities(trained, scene, windows, given.reference, dtype)
        record[dtype] = {"dtype": str(jnp.dtype(dtype)), "changes": {}}
        if len(full) == 2:
            apart = np.abs(full["bfloat16"] - full["float32"])
            record["between"] = {"largest": float(apart.max()), "mean": float(apart.mean())}
        save(given.output, record)
    for size in map(int, given.halos.split(",")):
        for dtype, reference in full.items():
            apart = np.abs(probabilities(trained, scene, windows, size, dtype) - reference)
            record[dtype]["changes"][str(size)] = {"largest": float(apart.max()), "mean": float(apart.mean())}
            save(given.output, record)


def mapping(given: argparse.Namespace) -> None:
    """Maps a scene repeated from the landscape's city, end to end."""
    from jointseg_jax.mapping.predictor import halo as halos
    from jointseg_jax.storage import formats, typed

    trained = _trained(given)
    if halos.kept(trained) is None:
        measured = halos.HaloMeasurement(MAPPING_HALO, {}, MAPPING_HALO, met=False)
        key = halos.HaloKey(trained.step, trained.weights, halos.weights_digest(trained.params), halos.TOLERANCE)
        theory = halos.theoretical_reach(trained.model)
        record = halos.HaloRecord(**vars(key), **vars(measured), scene="set, not measured", crops=0, theory=theory)
        formats.write_record(halos.kept_at(trained), typed.plain(record), formats.HALO)
    site = _data(given.preset).root / "sites" / SITE
    command = python(
        "benchmarks/mapping.py", f"--workdir={given.workdir}", f"--input={site}", f"--sizes={given.size}",
        f"--tiles={given.tile}", "--one-process", f"--output={given.output}",
    )  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)


def _trained(given: argparse.Namespace) -> Any:
    """The network of the work directory; fresh weights, moved from their initial values, if there is none."""
    from benchmarks import presets
    from benchmarks.subject import Subject
    from jointseg_jax.training.calibration import Calibration
    from jointseg_jax.training.checkpoints.records import FOLDER
    from jointseg_jax.training.checkpoints.writing import Checkpoints
    from jointseg_jax.training.trained import load_trained

    if not any((given.workdir / FOLDER).glob("[0-9]*")):
        config = presets.preset(given.preset, pathlib.Path("datasets"))
        presets.ready(config, print)
        subject = Subject.of(config)
        given.workdir.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Checkpoints(given.workdir)) as checkpoints:
            checkpoints.save(subject.state(), subject.experiment.meta(Calibration()))
            checkpoints.wait()
    return load_trained(given.workdir)


def _data(preset: str) -> Any:
    from benchmarks import presets
    from jointseg_jax.data import dataset

    return dataset.load(presets.preset(preset, pathlib.Path("datasets")).dataset.path)


if __name__ == "__main__":
    sys.exit(main())
