"""Flags what became slower: python benchmarks/check.py [--write].

Start-up, reading of patches, inference and mapping are timed in turns with a calibration kernel. Their CPU time per
step is divided by the kernel's, round by round, so that the load and the speed of the machine cancel to a large part.
The ratios are compared with those in `benchmarks/reference.json`, which `--write` measures and stores in the same way.
"""

import argparse
import dataclasses
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Before NumPy is loaded: OpenBLAS's threads wait in loops, so on a busy machine the kernel took ten times its CPU time.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.timing import Contestant, Turn, interleave, ratio, timed  # noqa: E402
from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds.number import whole  # noqa: E402
from jointseg_jax.errors import InputError  # noqa: E402
from jointseg_jax.storage.files import read_json, write_json  # noqa: E402

REFERENCE = ROOT / "benchmarks" / "reference.json"
SLOWER = 1.3  # times the stored ratio; repeats on a busy machine differ by a tenth
KERNEL = "calibration"


@dataclasses.dataclass
class Work:
    """A contestant in this process."""

    name: str
    call: Callable[[], Any]
    share: float = 1.0

    def turn(self, steps: int) -> Turn:
        """Runs the steps one after the other."""
        return timed(steps, lambda: [self.call() for _ in range(steps)])


@dataclasses.dataclass
class Command:
    """A contestant that starts a program; its CPU time is that of the process and its children."""

    name: str
    arguments: Sequence[str]
    statuses: tuple[int, ...] = (0,)
    share: float = 1.0

    def turn(self, steps: int) -> Turn:
        """Starts the program so many times."""
        began, before = time.perf_counter(), _children()
        for _ in range(steps):
            ended = subprocess.run(self.arguments, cwd=ROOT, capture_output=True, text=True, check=False)
            if ended.returncode not in self.statuses:
                raise RuntimeError(f"{' '.join(self.arguments)} ended with {ended.returncode}: {ended.stderr[-300:]}")
        return Turn(steps, time.perf_counter() - began, _children() - before)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def calibration() -> Work:
    """A fixed mixture of what the contestants do: matrix products, Python, compression."""
    left = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    text = left.tobytes()

    def kernel() -> int:
        product = left
        for _ in range(20):
            product = np.tanh(product @ left)
        return len(zlib.compress(text, 1)) + sum(k * k % 7 for k in range(60_000)) + int(product[0, 0])

    return Work(KERNEL, kernel)


def contestants(folder: pathlib.Path) -> list[Contestant]:
    """Start-up, loader, inference and mapping of the network of the preset `toy`.

    Args:
        folder: receives the dataset and the maps.
    """
    import jax

    from benchmarks import presets
    from benchmarks.subject import Subject
    from jointseg_jax.data.patches import PatchReader
    from jointseg_jax.mapping.predictor.predictor import Predictor
    from jointseg_jax.mapping.product.write import write_product
    from jointseg_jax.rasters.lattice import Window
    from jointseg_jax.training.calibration import Calibration
    from jointseg_jax.training.trained import Trained

    config = presets.preset("toy", folder)
    presets.ready(config, lambda line: print(line, file=sys.stderr))
    subject = Subject.of(config)
    data, state = subject.experiment.data, jax.device_get(subject.state())
    meta = subject.experiment.meta(Calibration())
    trained = Trained(folder, 0, "ema", subject.experiment.model, state.params, meta)
    scene = data.scene(next(iter(data.sites)), meta.contract)
    reader = PatchReader(data, "train", meta.contract)
    predictor = Predictor(trained, 8, tile=20)
    windows = [Window(0, 0, 20, 20)]
    python = [sys.executable, "-m", "jointseg_jax"]
    return [
        Command("start-up: --help", [*python, "--help"]),
        Command(
            "start-up: a refusal", [*python, "predict", f"--workdir={folder / 'none'}", "--input=x", "--output=y"], (2,)
        ),
        Work("loader: 16 patches", lambda: [reader.read(number) for number in range(16)]),
        Work("inference: a window", lambda: list(predictor.run_windows(scene, windows))),
        Work("mapping: a scene", lambda: write_product(predictor, scene, folder / "map", {}, quick=False)),
    ]


def measure(
    entered: Sequence[Contestant], rounds: int, aim: float, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """CPU time per step over the calibration kernel's: median and quartiles by contestant.

    Raises:
        RuntimeError: a contestant failed.
    """
    kernel = calibration()
    series = interleave([kernel, *entered], rounds, aim=aim, say=say)
    for found in series.values():
        if found.failed:
            raise RuntimeError(f"{found.name}: {found.failed}")
    return {c.name: ratio(series[c.name], series[KERNEL], "cpu") for c in entered}


def slower(
    found: Mapping[str, Mapping[str, float]], stored: Mapping[str, Mapping[str, float]], most: float
) -> list[str]:
    """Sentences on what became slower than `most` times its stored ratio, in three quarters of the rounds."""
    said = []
    for name, now in found.items():
        if name not in stored:
            said.append(f"{name} has no reference: run benchmarks/check.py --write")
        elif now["q1"] > most * stored[name]["median"]:
            times = now["median"] / stored[name]["median"]
            said.append(f"{name} takes {times:.2f} times its reference, more than {most:g} times")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; returns 1 if something became slower."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the ratios as the new reference")
    parser.add_argument("--reference", type=pathlib.Path, default=REFERENCE)
    parser.add_argument("--rounds", type=cli.number(whole(3)), default=7)
    parser.add_argument(
        "--dataset", type=pathlib.Path, help="keeps the made-up dataset here; by default it is temporary"
    )

    def work() -> int:
        given = parser.parse_args(arguments)
        with tempfile.TemporaryDirectory() as scratch:
            entered = contestants(given.dataset or pathlib.Path(scratch))
            return check(entered, given.reference, rounds=given.rounds, write=given.write)

    return cli.status_of(work)


def check(
    entered: Sequence[Contestant],
    reference: pathlib.Path,
    *,
    rounds: int,
    write: bool,
    aim: float = 0.5,
    most: float = SLOWER,
) -> int:
    """Measures, compares with a stored reference or replaces it; returns 1 if something became slower.

    Raises:
        InputError: there is no reference.
    """
    if not write and not reference.is_file():
        raise InputError(f"{reference} is missing: run benchmarks/check.py --write first")
    found = measure(entered, rounds, aim, lambda line: print(line, file=sys.stderr))
    stored = {} if write else read_json(reference)["ratios"]
    print("| part | CPU time over the kernel's: median (quartiles) | reference |")
    print("| --- | --- | --- |")
    for name, now in found.items():
        known = f"{stored[name]['median']:.3g}" if name in stored else ""
        print(f"| {name} | {now['median']:.3g} ({now['q1']:.3g} to {now['q3']:.3g}) | {known} |")
    if write:
        from benchmarks.machine import machine

        write_json(reference, {"machine": machine(), "measured": time.strftime("%Y-%m-%d"), "ratios": found})
        return 0
    said = slower(found, stored, most)
    print("\n".join(said) or f"nothing takes more than {most:g} times its reference")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
