"""Work for the tests: writes a file whose bytes follow from the unit's name, and fails on request.

`make_trouble` writes the failure of a unit into the product, so it takes effect in any process and at any time.
"""

import dataclasses
import hashlib
import os
import pathlib
import signal
import time

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.jobs.units import run_units
from jointseg_jax.storage.files import atomic_path


def names(count):
    return [f"u{number:03d}" for number in range(count)]


UNITS = names(6)


def run(product, executor=None, units=UNITS, *, work=None, deep=False, **options):
    """Runs units of a product with its ledger."""
    ledger = Ledger(product / "ledger")
    return run_units(
        units,
        work or FileWork(product),
        RunFolder(ledger.folder),
        executor or Serial(),
        find=lambda unit: ledger.find(unit, deep),
        **options,
    )


def content(unit, size=20_000):
    """The bytes of a unit's file."""
    block = hashlib.sha256(unit.encode()).digest()
    return block * (size // len(block))


@dataclasses.dataclass
class FileWork:
    """Writes `UNIT/map.bin` in two halves, `seconds` apart, and the row of the ledger."""

    product: pathlib.Path
    seconds: float = 0.0
    size: int = 20_000

    def __post_init__(self):
        self._built = False

    def __getstate__(self):
        return {**self.__dict__, "_built": False}

    def __call__(self, unit):
        if not self._built:
            self._built = True
            self.note(f"built {os.getpid()}")
        self.note(f"begun {unit}")
        self.fail(unit)
        path = self.product / unit / "map.bin"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            data = content(unit, self.size)
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(self.seconds)
            file.write(data[len(data) // 2 :])
        self.note(f"ended {unit}")
        row = {"tile": unit, "seconds": 0.25, "shape": (1, 2)}
        return Ledger(self.product / "ledger").add(unit, row, {"map": path})

    def fail(self, unit):
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


def make_trouble(product, unit, word):
    """Makes a unit fail from now on, or once: see `FileWork.fail`."""
    (product / "trouble").mkdir(parents=True, exist_ok=True)
    (product / "trouble" / unit).write_text(word)


def noted(product, kind):
    """The notes of a kind, in order: units `begun` and `ended`, processes that `built` their work."""
    path = product / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1] for line in lines if line.startswith(f"{kind} ")]


def set_aside(product):
    """Names of the units in quarantine."""
    return sorted(path.stem for path in (product / "ledger" / "quarantine").glob("*.json"))


def partial_files(product):
    """Files that killed writers left."""
    return list(product.rglob(".partial-*"))


def assert_whole(product, units=UNITS):
    """Every unit is done once, with the right bytes, and none is in quarantine."""
    ledger = Ledger(product / "ledger")
    rows = ledger.done()
    assert sorted(rows) == sorted(units)
    for unit in units:
        assert (product / unit / "map.bin").read_bytes() == content(unit)
        assert ledger.find(unit, deep=True) == rows[unit]
        assert rows[unit]["files"]["map"]["path"] == f"{unit}/map.bin"
    assert not set_aside(product)
