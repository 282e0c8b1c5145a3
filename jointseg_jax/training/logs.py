"""What a run says: a JSON line per event, TensorBoard, a progress bar. Only process 0 speaks."""

import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
import tqdm
from tensorboardX import SummaryWriter


class RunLog:
    """The log of one run in its work directory: `log.jsonl` and TensorBoard's `events.*`."""

    def __init__(self, workdir: pathlib.Path):
        self._speaks = jax.process_index() == 0
        if self._speaks:
            workdir.mkdir(parents=True, exist_ok=True)
            self._file = (workdir / "log.jsonl").open("a", encoding="utf-8")
            self._board = SummaryWriter(str(workdir / "tensorboard"))

    def say(self, text: str) -> None:
        """A line for people."""
        if self._speaks:
            tqdm.tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def record(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """A JSON line, and scalars for TensorBoard under `kind/`."""
        if not self._speaks:
            return
        self._file.write(json.dumps({"kind": kind, "step": step, "time": round(time.time(), 3), **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, name: str, step: int, rgb: np.ndarray) -> None:
        """A picture [h, w, 3] for TensorBoard."""
        if self._speaks:
            self._board.add_image(name, rgb, step, dataformats="HWC")

    def progress(self, first: int, total: int) -> "tqdm.tqdm":
        """A progress bar over steps; where the output is no terminal, a line every 15 seconds."""
        terminal = sys.stderr.isatty()
        return tqdm.tqdm(
            total=total,
            initial=first,
            unit="step",
            disable=not self._speaks,
            mininterval=0.5 if terminal else 15,
            dynamic_ncols=terminal,
            file=sys.stderr,
            smoothing=0.1,
        )

    def close(self) -> None:
        """Flushes and closes."""
        if self._speaks:
            self._file.close()
            self._board.close()
