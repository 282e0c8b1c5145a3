"""Times 3 x 3 convolutions and their two gradients on one core: the largest part of training and mapping on a CPU.

    python benchmarks/convolutions.py [--peer-python=.venv-torch/bin/python]

Prints GFLOP/s in CPU time, the best of several runs.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.timing import timed  # noqa: E402

# Images, side, channels in, channels out: of a step of the preset "small", then of a window of "default".
SHAPES = (
    *((4, 240, 32, 32), (4, 96, 32, 32), (4, 96, 96, 32)),
    *((1, 96, 64, 32), (1, 96, 192, 64), (1, 192, 96, 400), (1, 960, 19, 16), (1, 960, 16, 16), (1, 960, 16, 3)),
)
RUNS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    from jointseg_jax import cli  # here, because the peer imports this file without the package's libraries

    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter of a venv with benchmarks/peers/requirements.txt")
    return cli.status_of(lambda: measure(parser.parse_args(arguments)))


def measure(given: argparse.Namespace) -> None:
    """Times JAX in this process and PyTorch in another."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the benchmark times one core
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # before JAX starts its threads; the peer inherits it
    print("        images side  in out   forward  input's gradient  weights' gradient   (GFLOP/s)")
    for shape in SHAPES:
        show("jax", shape, in_jax(*shape))
    if given.peer_python:
        found = subprocess.run(
            [given.peer_python, "-m", "benchmarks.peers.torch_convolutions"],
            cwd=ROOT,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
        for shape, line in zip(SHAPES, found.stdout.splitlines(), strict=True):
            show("torch", shape, [float(v) for v in line.split()])


def show(name: str, shape: tuple[int, int, int, int], rates: list[float]) -> None:
    images, side, inputs, outputs = shape
    print(
        f"{name:<8}{images:>6}{side:>5}{inputs:>4}{outputs:>4}{rates[0]:>10.0f}{rates[1]:>18.0f}{rates[2]:>19.0f}",
        flush=True,
    )


def in_jax(images: int, side: int, inputs: int, outputs: int) -> list[float]:
    """GFLOP/s of forward, input's gradient, weights' gradient."""
    import jax

    from jointseg_jax.models.layers import conv2d

    shapes = ((images, side, side, inputs), (images, side, side, outputs), (3, 3, inputs, outputs))
    keys = jax.random.split(jax.random.key(0), 3)
    x, g, kernel = (jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))
    works = [
        jax.jit(conv2d),
        jax.jit(lambda x, kernel: jax.vjp(lambda x: conv2d(x, kernel), x)[1](g)),
        jax.jit(lambda x, kernel: jax.vjp(lambda kernel: conv2d(x, kernel), kernel)[1](g)),
    ]

    def waited(work: Callable[..., object]) -> Callable[[], object]:
        return lambda: jax.block_until_ready(work(x, kernel))

    return [rate(waited(work), images, side, inputs, outputs) for work in works]


def rate(work: Callable[[], object], images: int, side: int, inputs: int, outputs: int) -> float:
    """GFLOP/s in CPU time, for the multiply-adds of one convolution."""
    work()
    best = min(timed(1, work).cpu for _ in range(RUNS))
    return 2 * 9 * inputs * outputs * images * side * side / best / 1e9


if __name__ == "__main__":
    sys.exit(main())
