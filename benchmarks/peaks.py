"""Peaks of the device: matrix products, convolutions and copying, as contestants of the same rounds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.timing import Series, Turn, timed

DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the probes: side of the matrices; [batch, side, channels] of each convolution; floats copied."""

    matrix: int
    convolutions: tuple[tuple[int, int, int], ...]
    floats: int


# So large that launches do not count and, for the copy, no cache (H200: 50 MB) helps.
SIZES = {
    "gpu": Sizes(8192, ((16, 128, 256), (16, 256, 64)), 1 << 28),
    "cpu": Sizes(1536, ((2, 64, 128), (2, 128, 64)), 1 << 26),
}


@dataclasses.dataclass
class Probe:
    """A contestant that does `work` floating-point operations (kind "compute") or moves as many bytes ("copy")."""

    name: str
    kind: str
    dtype: str
    work: float
    call: Callable[[], Any]
    share: float = 0.2

    def turn(self, steps: int) -> Turn:
        """Sends all steps, then waits for the last: a device does them in order."""

        def work() -> None:
            for _ in range(steps):
                result = self.call()
            jax.block_until_ready(result)

        return timed(steps, work)


def probes(sizes: Sizes) -> list[Probe]:
    """Matrix product and convolutions in both dtypes, and a copy that adds one."""
    found = []
    for dtype in DTYPES:
        n = sizes.matrix
        # Random numbers, because on constant ones a GPU draws less power and clocks higher than in any training.
        a = jax.random.normal(jax.random.key(0), (n, n), dtype)
        multiply = jax.jit(lambda x, y: x @ y).lower(a, a).compile()
        found.append(
            Probe(f"matmul {n} {dtype}", "compute", dtype, 2.0 * n**3, lambda f=multiply, a=a: f(a, a))  # type: ignore[misc]
        )
        for batch, side, channels in sizes.convolutions:
            x = jax.random.normal(jax.random.key(1), (batch, side, side, channels), dtype)
            kernel = jax.random.normal(jax.random.key(2), (3, 3, channels, channels), dtype)
            convolve = (
                jax.jit(
                    lambda x, k: jax.lax.conv_general_dilated(
                        x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
                    )
                )
                .lower(x, kernel)
                .compile()
            )
            found.append(
                Probe(
                    f"conv 3x3 {channels} @ {side} {dtype}",
                    "compute",
                    dtype,
                    2.0 * 9 * channels**2 * batch * side**2,
                    lambda f=convolve, x=x, k=kernel: f(x, k),  # type: ignore[misc]
                )
            )
    long = jnp.ones(sizes.floats, jnp.float32)
    add = jax.jit(lambda x: x + 1).lower(long).compile()
    found.append(Probe("copy", "copy", "float32", 8.0 * sizes.floats, lambda: add(long)))
    return found


@dataclasses.dataclass(frozen=True)
class Peaks:
    """The best of all rounds.

    Attributes:
        matmul: FLOP/s of the matrix product, by dtype.
        compute: FLOP/s of the matrix product or the best convolution, whichever is more, by dtype.
        bandwidth: bytes per second, read and written together.
    """

    matmul: dict[str, float]
    compute: dict[str, float]
    bandwidth: float


def peaks(entered: list[Probe], series: dict[str, Series]) -> Peaks:
    """The peaks, from the fastest turn of each probe."""
    rates = {p.name: p.work / min(series[p.name].seconds()) for p in entered}
    matmul = {p.dtype: rates[p.name] for p in entered if p.name.startswith("matmul")}
    compute = {d: max(rates[p.name] for p in entered if p.kind == "compute" and p.dtype == d) for d in matmul}
    return Peaks(matmul, compute, next(rates[p.name] for p in entered if p.kind == "copy"))
