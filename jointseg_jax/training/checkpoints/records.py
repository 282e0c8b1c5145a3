"""The records of a run's checkpoints, and choosing one: neither JAX nor Orbax is loaded for them."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

from jointseg_jax.errors import InputError
from jointseg_jax.storage import digests, formats
from jointseg_jax.storage.files import read_json
from jointseg_jax.training.checkpoints.meta import FIRST_VERSION, Meta, parse

FOLDER = "checkpoints"
METRIC = "f1"


class Records:
    """Reads the metadata of the checkpoints of a run.

    Args:
        workdir: of the run.
        say: prints a message.
    """

    def __init__(self, workdir: str | os.PathLike[str], *, say: Callable[[str], None] = print):
        self._folder = pathlib.Path(workdir).resolve() / FOLDER
        self._say = say
        self._scores: dict[int, float | None] = {}

    def meta(self, step: int) -> Meta:
        """The metadata of a checkpoint, whatever the state of its arrays; raises `InputError` when it is damaged."""
        return self._read_meta(step, below="meta/")

    @property
    def steps(self) -> list[int]:
        """All committed steps."""
        try:
            return sorted(int(p.name) for p in self._folder.iterdir() if p.name.isdecimal() and p.is_dir())
        except FileNotFoundError:
            return []

    def best(self) -> int | None:
        """The committed step with the best validation F1; None when none was validated."""
        scores = {step: score for step in self.steps if (score := self.score(step)) is not None}
        return max(scores, key=lambda step: (scores[step], step)) if scores else None

    def score(self, step: int) -> float | None:
        """The validation F1 of a step; None if it was not validated, or (with a warning) if its record is damaged."""
        if step not in self._scores:
            try:
                self._scores[step] = score_of(self._read_meta(step, below="meta/"), step)
            except formats.Newer:
                raise
            except InputError as error:
                self._say(f"warning: {error}; it cannot be chosen as the best checkpoint")
                self._scores[step] = None
        return self._scores[step]

    def _read_meta(self, step: int, below: str | None = None) -> Meta:
        """Reads the record of a step; checks digests only of files with names that begin with `below`, if given."""
        folder = self._folder / str(step)
        if below is not None:
            with contextlib.suppress(FileNotFoundError):
                self._refuse(step, digests.amiss(folder, below))
        with self._explained(step):
            record = read_json(folder / "meta" / "metadata")  # as Orbax's JSON handler writes it
            fields = formats.unseal(record, formats.CHECKPOINT, folder)
            if formats.version(record) < FIRST_VERSION:
                raise InputError(
                    f"{folder} was made by an earlier version of jointseg-jax, with a network that this version lacks: "
                    "train again, or use the version that made it"
                )
            if not (folder / digests.FILE).is_file():
                self._refuse(step, f"{digests.FILE} is missing")
            return parse(fields, folder)

    def _refuse(self, step: int, reason: str) -> None:
        if reason:
            raise formats.Damaged(f"{self._folder / str(step)} is damaged ({reason}): {self._rescue(step)}")

    def _rescue(self, step: int) -> str:
        others = [str(s) for s in self.steps if s != step]
        copy = "restore that folder from a copy"
        return f"use another step (--checkpoint={others[-1]}), or {copy}" if others else f"{copy}, or train again"

    @contextlib.contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """Turns errors while reading into one sentence about a damaged checkpoint."""
        try:
            yield
        except (InputError, MemoryError):  # too little memory is no damage
            raise
        except Exception as error:  # truncated files and Orbax raise many types
            reason = str(error).split("\n")[0][:200] or type(error).__name__
            raise formats.Damaged(f"{self._folder / str(step)} is damaged ({reason}): {self._rescue(step)}") from error


def score_of(meta: Meta, step: int) -> float | None:
    """The F1 of a checkpoint validated at this step; None where its calibration comes from an earlier step."""
    fitted = meta.calibration
    return fitted.scores.get(METRIC) if fitted.step == step else None


def choose_step(checkpoints: Records, wanted: str, workdir: str | os.PathLike[str]) -> int:
    """Resolves "best", "latest" or a number to a step; raises `InputError` when there is no such checkpoint."""
    if not checkpoints.steps:
        raise InputError(
            f"{workdir} has no checkpoint: train first with `jointseg train --config=... --workdir={workdir}`"
        )
    if wanted == "latest":
        return checkpoints.steps[-1]
    if wanted == "best":
        best = checkpoints.best()
        return checkpoints.steps[-1] if best is None else best
    if not wanted.isdecimal() or int(wanted) not in checkpoints.steps:
        raise InputError(f"{workdir} has no checkpoint {wanted!r}: use one of {checkpoints.steps}, best or latest")
    return int(wanted)
