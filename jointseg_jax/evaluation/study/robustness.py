"""Judges the finished runs of a study on the ground of their fold as another sensor would see it.

The networks are those that the study trained; only the simulated input of the test ground changes. Every condition,
the nominal one too, is prepared and judged by the same program, so a change of F1 is that of the input alone.
FOLDER receives robustness.json and robustness.md after every run.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.sensor import Sensor
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.study import statistics
from jointseg_jax.evaluation.study.runs import RESULT, TILE, Run, Study, attribute, scores
from jointseg_jax.storage.files import read_json, write_json, write_text

RECORDS, REPORT = "robustness.json", "robustness.md"
NOMINAL = "nominal"


@dataclasses.dataclass(frozen=True)
class Condition:
    """A sensor, as it differs from the nominal one.

    Attributes:
        mtf: factor on the MTF at Nyquist.
        noise: factor on the noise.
        kernel: of the blur, see `Sensor`.
        east: misregistration, metres.
    """

    mtf: float = 1.0
    noise: float = 1.0
    kernel: str = "gaussian"
    east: float = 0.0

    def fields(self, nominal: Sensor) -> tuple[str, ...]:
        """Overrides of the config, without `--config.`."""
        mtf = tuple(round(m * self.mtf, 6) for m in nominal.mtf)
        snr = tuple(round(s / self.noise, 6) for s in nominal.snr)
        down, right = nominal.shift
        return (
            f"dataset.simulate.mtf={mtf}",
            f"dataset.simulate.snr={snr}",
            f"dataset.simulate.kernel={self.kernel}",
            f"dataset.simulate.misregistration={(down, right + self.east)}",
        )


CONDITIONS: Mapping[str, Condition] = {
    NOMINAL: Condition(),
    "mtf-0.8": Condition(mtf=0.8),
    "mtf-1.2": Condition(mtf=1.2),
    "noise-2": Condition(noise=2.0),
    "box": Condition(kernel="box"),
    "east-1m": Condition(east=1.0),
    "east-2.5m": Condition(east=2.5),
    "east-5m": Condition(east=5.0),
}


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One evaluation: a finished run under a condition."""

    run: Run
    condition: str

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What identifies it among all records."""
        return self.run.row, self.run.fold, self.run.seed, self.condition

    def __str__(self) -> str:
        return f"{self.run}, {self.condition}"


class Robustness:
    """The judgements of a study's finished runs.

    Args:
        found: the study.
    """

    def __init__(self, found: Study):
        self._study = found
        path = found.folder / RECORDS
        self._records = {_key(record): record for record in (read_json(path) if path.exists() else [])}

    def run(self, runs: Sequence[Run]) -> None:
        """Prepares the test ground under every condition and judges those of `runs` that are finished.

        Raises:
            InputError: none is finished, or a dataset cannot be prepared.
            Unfinished: a judgement failed; its log names the reason.
            Interrupted: it was stopped.
        """
        folder = self._study.folder
        finished = [run for run in runs if (run.workdir(folder) / RESULT).exists()]
        if not finished:
            raise InputError(f"{folder} has no finished run of these rows, folds and seeds: train them first")
        every = [Judgement(run, name) for run in finished for name in CONDITIONS]
        missing = [judgement for judgement in every if judgement.key not in self._records]
        for fold, dates in dict.fromkeys((j.run.fold, self._dates(j.run)) for j in missing):
            self._prepare(fold, dates, {j.condition for j in missing})
        self._study.programs.carry_out(missing, self._judge, self._settle)
        self.report()

    def report(self) -> None:
        """Writes robustness.json and robustness.md."""
        records = [self._records[key] for key in sorted(self._records)]
        write_json(self._study.folder / RECORDS, records)
        write_text(self._study.folder / REPORT, text(records))

    def _dates(self, run: Run) -> int:
        return int(self._study.rows[run.row].dates)

    def _prepare(self, fold: str, dates: int, conditions: set[str]) -> None:
        """Prepares the test ground of a fold, the nominal one first: it has the sensor that the others change."""
        config = attribute(self._study.config, "get_config")(f"fold={fold}").dataset
        if not config.simulate.enabled or not config.split.table.test:
            raise InputError(
                f"{self._study.config} cannot show another sensor: its input is not simulated, or its folds are not "
                "sites of dataset.split.table.test"
            )
        ground = (
            f"dataset.source.only={tuple(config.split.table.test)}",
            "dataset.split.table.train=()",
            "dataset.split.table.validation=()",
        )
        self._study.prepare(fold, dates, _folder(NOMINAL), ground)
        nominal = datasets.load(self._study.dataset(fold, dates, _folder(NOMINAL)), hold=False).simulated
        assert nominal is not None
        for name in sorted(conditions - {NOMINAL}):
            fields = CONDITIONS[name].fields(nominal.sensor)
            self._study.prepare(fold, dates, _folder(name), (*ground, *fields))

    def _judge(self, judgement: Judgement) -> None:
        run, workdir = judgement.run, judgement.run.workdir(self._study.folder)
        if not (self._output(judgement) / "metrics.json").exists():
            data = self._study.dataset(run.fold, self._dates(run), _folder(judgement.condition))
            self._study.programs.call(
                "evaluate",
                f"--workdir={workdir}",
                f"--tile={TILE}",
                f"--dataset={data}",
                f"--output={self._output(judgement)}",
                log=workdir,
            )

    def _output(self, judgement: Judgement) -> pathlib.Path:
        return judgement.run.workdir(self._study.folder) / "evaluation" / _folder(judgement.condition)

    def _settle(self, judgement: Judgement) -> str:
        metrics = read_json(self._output(judgement) / "metrics.json")
        record = {**dataclasses.asdict(judgement.run), "condition": judgement.condition, **scores(metrics)}
        self._records[judgement.key] = record
        self.report()
        return f"F1 {record['f1']:.3f}"


def _folder(condition: str) -> str:
    """The name of a condition's datasets and evaluations."""
    return f"sensor-{condition}"


def _key(record: Mapping[str, Any]) -> tuple[str, str, int, str]:
    return str(record["row"]), str(record["fold"]), int(record["seed"]), str(record["condition"])


def text(records: Sequence[Mapping[str, Any]]) -> str:
    """The report: the change of F1 under every condition, and what remains of the lead over the first reference."""
    names = statistics.rows_of([r for r in records if r["condition"] == NOMINAL])
    conditions = [name for name in CONDITIONS if any(r["condition"] == name for r in records)]
    parts = ["# Robustness", _about(records), "## Change of F1 from the nominal sensor"]
    lines = ["| row | " + " | ".join(["nominal F1", *conditions[1:]]) + " |", "|" + " --- |" * (len(conditions) + 1)]
    for name in names:
        # Conditions take the place of rows: they are paired within a fold and seed in the same way.
        own = [{**r, "row": r["condition"]} for r in records if r["row"] == name]
        changes = [
            statistics.shown(statistics.difference(own, condition, NOMINAL, "f1")) for condition in conditions[1:]
        ]
        lines.append(f"| {name} | " + " | ".join([f"{statistics.mean(own, NOMINAL, 'f1'):.3f}", *changes]) + " |")
    parts.append("\n".join(lines))
    for reference in statistics.REFERENCES:
        if reference not in names or len(names) < 2:
            continue
        parts.append(f"## F1 against {reference} under the same condition")
        lines = ["| row | " + " | ".join(conditions) + " |", "|" + " --- |" * (len(conditions) + 1)]
        for name in names:
            if name != reference:
                seen = [[r for r in records if r["condition"] == condition] for condition in conditions]
                leads = [statistics.shown(statistics.difference(found, name, reference, "f1")) for found in seen]
                lines.append(f"| {name} | " + " | ".join(leads) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _about(records: Sequence[Mapping[str, Any]]) -> str:
    folds = sorted({str(r["fold"]) for r in records})
    seeds = sorted({int(r["seed"]) for r in records})
    return (
        f"The networks of the study, not trained again, on the scene left out as another sensor would see it. Folds: "
        f"{', '.join(folds)}. Seeds: {', '.join(map(str, seeds))}. Each figure is a mean over folds, paired within "
        "fold and seed; in brackets its interval of 95 % over folds (Student's t). mtf-0.8, mtf-1.2: the MTF at "
        "Nyquist times this. noise-2: half the SNR. box: a blur of the nominal MTF at Nyquist, but of another shape, "
        "which no training has seen. east-1m and so on: the input lies so far off the 1 m image and the label, so "
        "that a perfect map would lose, too. Temperature and threshold stay those of the validation ground."
    )
