"""Work for the tests: a file of bytes that follow from the unit's name, in ways that can go wrong on purpose.

What goes wrong is written into the folder `trouble` of the product, so that it can change while a run goes on, in
whatever process: `trouble/UNIT` holds a word, and is taken away by what shall happen once only.
"""

import dataclasses
import hashlib
import os
import pathlib
import signal
import time

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.executors import Result
from jointseg_jax.storage.files import atomic_path


def content(unit, size=20_000):
    """What the file of a unit holds."""
    block = hashlib.sha256(unit.encode()).digest()
    return block * (size // len(block))


@dataclasses.dataclass
class Piece:
    """Writes `UNIT/map.bin` after a while."""

    product: pathlib.Path
    seconds: float = 0.0
    size: int = 20_000

    def __post_init__(self):
        self._built = 0

    def __getstate__(self):
        return {**self.__dict__, "_built": 0}

    def __call__(self, unit):
        if not self._built:
            self._built = 1
            self.note(f"built {os.getpid()}")
        self.note(f"begun {unit}")
        self.trouble(unit)
        path = self.product / unit / "map.bin"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            data = content(unit, self.size)
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(self.seconds)
            file.write(data[len(data) // 2 :])
        self.note(f"ended {unit}")
        return Result({"tile": unit, "seconds": 0.25, "shape": (1, 2)}, {"map": path})

    def trouble(self, unit):
        path = self.product / "trouble" / unit
        word = path.read_text() if path.exists() else ""
        if word.startswith("once "):
            path.unlink()
            word = word.removeprefix("once ")
        match word:
            case "fail":
                raise RuntimeError(f"{unit} fails")
            case "refuse":
                raise InputError(f"scene of {unit} is damaged: restore it")
            case "exit":
                raise SystemExit(3)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(3600)

    def note(self, text):
        descriptor = os.open(self.product / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, f"{text}\n".encode())
        os.close(descriptor)


def cause(product, unit, word):
    (product / "trouble").mkdir(parents=True, exist_ok=True)
    (product / "trouble" / unit).write_text(word)


def notes(product, kind):
    """What was noted: the words after `kind`, in order."""
    path = product / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1] for line in lines if line.startswith(f"{kind} ")]


def whole(product, ledger, units):
    """Asserts that every unit is done, once, with the right bytes and nothing beside them."""
    rows = ledger.done()
    assert sorted(rows) == sorted(units)
    for unit in units:
        assert (product / unit / "map.bin").read_bytes() == content(unit)
        assert ledger.check(unit, deep=True)
        assert rows[unit]["files"]["map"]["path"] == f"{unit}/map.bin"
    assert not ledger.quarantined()


@dataclasses.dataclass
class Net:
    """Writes what a small network makes of noise that follows from the unit's name."""

    product: pathlib.Path

    def __call__(self, unit):
        import jax
        import numpy as np

        key = jax.random.key(int.from_bytes(unit.encode()) % 2**31)
        image = jax.random.normal(key, (2, 96, 96, 8))
        kernels = jax.random.normal(jax.random.key(0), (6, 3, 3, 8, 8)) / 8

        @jax.jit
        def run(x):
            for kernel in kernels:
                x = x + jax.nn.silu(
                    jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
                )
            return x

        path = self.product / unit / "map.npy"
        with atomic_path(path) as temporary:
            np.save(temporary, np.asarray(run(image)))
        return Result({"tile": unit}, {"map": path})
