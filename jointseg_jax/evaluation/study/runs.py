"""The runs of a study: which there are, the programs that carry them out, and their records."""

import dataclasses
import importlib.util
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.study import report
from jointseg_jax.evaluation.study.curves import curve_of
from jointseg_jax.evaluation.study.programs import COST, Programs
from jointseg_jax.storage.files import read_json, write_json

RESULT = "result.json"  # of a finished run
TILE = 192  # coarse pixels of an evaluation's windows, so that the halo costs little
STUDY = "study.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: a row of the study, the fold left out, the seed."""

    row: str
    fold: str
    seed: int

    def workdir(self, folder: pathlib.Path) -> pathlib.Path:
        """Its folder."""
        return folder / "runs" / self.row / self.fold / f"seed{self.seed}"

    def __str__(self) -> str:
        return f"{self.row}, {self.fold}, seed {self.seed}"


class Study:
    """The programs of the runs of a study.

    Args:
        config: path of the config file.
        folder: of the study.
        overrides: flags `--config.field=value` for all runs.
        workers: runs at a time; with several, each computes on one core.
        weights: file of published weights, for the rows that begin with them.
        say: receives a line per finished run.
    """

    def __init__(
        self,
        config: pathlib.Path,
        folder: pathlib.Path,
        overrides: Sequence[str],
        workers: int,
        weights: str | None = None,
        say: Callable[[str], None] = print,
    ):
        self._weights = weights
        self.rows = attribute(config.with_name("ablations.py"), "ROWS")
        self.folds: tuple[str, ...] = tuple(attribute(config, "FOLDS"))
        self.folder, self.config, self._overrides = folder, config, tuple(overrides)
        self.programs = Programs(workers, say)
        known = read_json(folder / STUDY) if (folder / STUDY).exists() else []
        self._results = {_key(result): result for result in known}

    def run(self, runs: Sequence[Run]) -> None:
        """Prepares the datasets and carries out the runs that are not finished.

        Raises:
            InputError: a dataset cannot be prepared, study.json has runs of another length, or a row needs weights.
            Unfinished: a run failed; its log names the reason.
            Interrupted: a run was stopped.
        """
        steps = self._steps(runs[0])
        if others := {int(result["steps"]) for result in self._results.values()} - {steps}:
            raise InputError(
                f"{self.folder / STUDY} has runs of {min(others)} steps, but these would have {steps}: "
                "use another folder"
            )
        missing = [run for run in runs if dataclasses.astuple(run) not in self._results]
        if self._weights is None and (lacking := [run.row for run in missing if self.rows[run.row].needs_weights]):
            raise InputError(
                f"row {lacking[0]!r} begins with the weights of Real-ESRGAN x4plus: give their file with "
                "--weights=RealESRGAN_x4plus.pth, or leave the row out of --names"
            )
        for fold, dates in dict.fromkeys((run.fold, n) for run in missing for n in self._needed(run)):
            self.prepare(fold, dates)
        self.programs.carry_out(missing, self._carry_out, self._settle)

    def report(self) -> None:
        """Writes study.json and the report of all finished runs."""
        for path in sorted((self.folder / "runs").glob(f"*/*/*/{RESULT}")):
            for result in _records(path):
                if "same_run_as" not in result:
                    result["curve"] = curve_of(path.parent, result["seconds"])
                self._results[_key(result)] = result
        if self._results:
            results = [self._results[key] for key in sorted(self._results)]
            write_json(self.folder / STUDY, results)
            report.write_report(results, self.folder)

    def _carry_out(self, run: Run) -> None:
        workdir = run.workdir(self.folder)
        if (workdir / RESULT).exists():
            return
        row = self.rows[run.row]
        argument = f"fold={run.fold}" + (f",{row.arguments}" if row.arguments else "")
        self.programs.call(
            "train",
            f"--config={self.config}:{argument}",
            f"--workdir={workdir}",
            f"--config.seed={run.seed}",
            f"--config.dataset.path={self.dataset(run.fold, row.dates)}",
            *(f"--config.{field}" for field in row.overrides(self._steps(run), self._weights)),
            *self._overrides,
            log=workdir,
            costs=True,
        )
        self.programs.call("evaluate", f"--workdir={workdir}", f"--tile={TILE}", log=workdir)
        results = [result_of(run, workdir)]
        for dates in row.judged:
            output = workdir / "evaluation" / f"dates{dates}"
            flags = [f"--tile={TILE}", f"--dates={dates}", f"--output={output}"]
            if dates > row.dates:
                flags.append(f"--dataset={self.dataset(run.fold, dates)}")
            self.programs.call("evaluate", f"--workdir={workdir}", *flags, log=workdir)
            name = f"{run.row} on {dates}"
            results.append({**result_of(run, workdir, output.name), "row": name, "same_run_as": run.row})
        write_json(workdir / RESULT, results if row.judged else results[0])

    def _settle(self, run: Run) -> str:
        self.report()
        found = _records(run.workdir(self.folder) / RESULT)[0]
        return f"F1 {found['f1']:.3f}" + (f", PSNR {found['psnr_1m']:.2f} dB" if found["psnr_1m"] is not None else "")

    def _needed(self, run: Run) -> list[int]:
        """The numbers of dates of the datasets that a run reads; the dates of one begin those of a larger one."""
        row = self.rows[run.row]
        return [row.dates, *(dates for dates in row.judged if dates > row.dates)]

    def _steps(self, run: Run) -> int:
        given = [flag.partition("=")[2] for flag in self._overrides if flag.startswith("--config.steps=")]
        return int(given[-1]) if given else int(attribute(self.config, "get_config")(f"fold={run.fold}").steps)

    def prepare(self, fold: str, dates: int, variant: str = "", fields: Sequence[str] = ()) -> None:
        """Prepares the dataset of a fold; see `dataset`.

        Args:
            fold: the scene left out.
            dates: acquisitions.
            variant: name of what `fields` change.
            fields: overrides of the config, without `--config.`.
        """
        path = self.dataset(fold, dates, variant)
        path.mkdir(parents=True, exist_ok=True)
        own = [field for field in self._overrides if field.startswith("--config.dataset.")]
        self.programs.call(
            "prepare",
            f"--config={self.config}:fold={fold}" + (f",dates={dates}" if dates > 1 else ""),
            f"--config.dataset.path={path}",
            *own,
            *(f"--config.{field}" for field in fields),
            log=path.parent / f"{path.name}-log",
        )

    def dataset(self, fold: str, dates: int, variant: str = "") -> pathlib.Path:
        """The folder of a dataset."""
        parts = (fold, f"dates{dates}" if dates > 1 else "", variant)
        return self.folder / "datasets" / "-".join(filter(None, parts))


def _key(result: dict[str, Any]) -> tuple[str, str, int]:
    return str(result["row"]), str(result["fold"]), int(result["seed"])


def _records(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a finished run: its own, then those on other numbers of dates."""
    found = read_json(path)
    return list(found) if isinstance(found, list) else [found]


def result_of(run: Run, workdir: pathlib.Path, evaluation: str = "test") -> dict[str, Any]:
    """The record of a finished run, from its files.

    `seconds` are CPU seconds of the training, compiling and validation included.
    """
    metrics = read_json(workdir / "evaluation" / evaluation / "metrics.json")
    return {
        **dataclasses.asdict(run),
        "steps": read_json(workdir / "config.json")["steps"],
        "seconds": round(read_json(workdir / COST)["seconds"], 1),
        **scores(metrics),
        "parameters": metrics["parameters"],
        "flops": 1e6 * metrics["mega_flops_per_input_pixel"],
        "step": metrics["step"],
    }


def scores(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of an evaluation that a study compares; None for what an older one, or its network, lacks."""
    overall = metrics["overall"]
    stages = {stage["scale"]: stage for stage in overall["stages"]}
    one, first = stages.get(10.0, {}), stages.get(4.0, {})
    return {
        **{key: overall["isa"][key] for key in ("f1", "precision", "recall")},
        **{key: overall.get(key) for key in ("f1_best", "average_precision")},
        "macro_f1": overall["macro_f1"],
        "area_ratio": overall["area_ratio"],
        "fraction_rmse_10m": overall["fraction"]["map"]["10m"]["rmse"],
        "psnr_1m": one.get("psnr"),
        "psnr_bicubic_1m": one.get("psnr_bicubic"),
        "psnr_2.5m": first.get("psnr"),
        "psnr_bicubic_2.5m": first.get("psnr_bicubic"),
    }


def attribute(path: pathlib.Path, name: str) -> Any:
    """A constant of a Python file.

    Raises:
        InputError: the file or the constant does not exist.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path} does not exist: give a config file with ablations.py beside it, as configs/dubai.py")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise InputError(f"{path} has no {name}: a study needs a config with folds, such as configs/dubai.py")
    return getattr(module, name)
