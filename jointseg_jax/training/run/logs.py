"""The logs of a run: a JSON line per event, TensorBoard, W&B, a progress bar. Only process 0 writes.

A full disk, a closed pipe or an unreachable service never ends a run.
"""

import contextlib
import hashlib
import importlib
import io
import json
import pathlib
import sys
import time
from typing import Any, TextIO

import jax
import numpy as np
import tqdm

from jointseg_jax.errors import InputError
from jointseg_jax.storage.journal import Journal
from jointseg_jax.training.run.events import EventFile, printable


class RunLog:
    """The log of one run in its work directory: `log.jsonl`, `tensorboard/`, and W&B where a project is named.

    Args:
        workdir: of the run.
        first: the first step.
        project: of Weights & Biases; None for none.
        config: of the experiment, stored by W&B.

    Raises:
        InputError: a project is named and `wandb` is not installed.
    """

    def __init__(
        self, workdir: pathlib.Path, first: int = 0, project: str | None = None, config: dict[str, Any] | None = None
    ):
        self._speaks = jax.process_index() == 0
        self._remote: Any = None
        if self._speaks:
            self._remote = _wandb(workdir, project, config or {}) if project else None
            self._lines = Journal(workdir / "log.jsonl", lines=True, complain=self._warn)
            self._board = EventFile(workdir / "tensorboard", first, self._warn)

    def say(self, text: str) -> None:
        """Prints a line."""
        if self._speaks:
            tqdm.tqdm.write(text, file=_Patient(sys.stdout))

    def record(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Writes a JSON line, and scalars for TensorBoard and W&B under `kind/`."""
        if not self._speaks:
            return
        row = {"kind": kind, "step": step, "time": round(time.time(), 3), **values}
        self._lines.append(json.dumps({k: printable(v) for k, v in row.items()}).encode() + b"\n")
        numbers = {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, (int, float))}
        for name, value in numbers.items():
            self._board.scalar(name, value, step)
        self._send(numbers, step)

    def picture(self, name: str, step: int, rgb: np.ndarray) -> None:
        """Writes a picture, uint8 [h, w, 3]."""
        if self._speaks:
            self._board.picture(name, rgb, step)
            if self._remote is not None:
                self._send({name: importlib.import_module("wandb").Image(rgb)}, step)

    def histogram(self, name: str, step: int, counts: np.ndarray, edges: np.ndarray) -> None:
        """Writes a histogram for TensorBoard: counts [bins] between edges [bins + 1]."""
        if self._speaks:
            self._board.histogram(name, counts, edges, step)

    def progress(self, first: int, total: int) -> "tqdm.tqdm":
        """A progress bar over steps, with the time left; a line every 15 seconds if stderr is not a terminal."""
        terminal = sys.stderr.isatty()
        return tqdm.tqdm(
            total=total,
            initial=first,
            unit="step",
            disable=not self._speaks,
            mininterval=0.5 if terminal else 15,
            dynamic_ncols=terminal,
            file=_Patient(sys.stderr),
            smoothing=0.1,
        )

    def close(self) -> None:
        """Flushes and closes."""
        if self._speaks:
            self._lines.close()
            self._board.close()
            if self._remote is not None:
                self._remote.finish()

    def _warn(self, text: str) -> None:
        self.say(f"warning: {text}")

    def _send(self, values: dict[str, Any], step: int) -> None:
        if self._remote is None:
            return
        try:
            self._remote.log(values, step=step)
        except Exception as error:
            self._remote = None
            self._warn(f"W&B no longer accepts records ({error}); the run continues without it")


class _Patient(io.TextIOBase):
    """A text stream that ignores write errors, such as a full disk or a closed pipe."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _wandb(workdir: pathlib.Path, project: str, config: dict[str, Any]) -> Any:
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise InputError(
            f"config.wandb is {project!r}, but wandb is not installed: `pip install wandb`, or leave config.wandb unset"
        ) from error
    # The id follows from the folder, so a restart continues the curves.
    identity = hashlib.sha256(str(workdir.resolve()).encode()).hexdigest()[:16]
    return wandb.init(project=project, id=identity, name=workdir.name, dir=str(workdir), config=config, resume="allow")
