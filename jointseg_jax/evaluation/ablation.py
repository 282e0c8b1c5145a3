"""Trains and evaluates the rows of a study over folds and seeds, and writes its report.

    python -m jointseg_jax.evaluation.ablation CONFIG FOLDER --names=bilinear,joint --seeds=0,1,2 --folds=all

CONFIG is a config file with `FOLDS` and an argument `fold`; `ablations.py` beside it has the `ROWS`. Every run is a
`train.py` and an `evaluate.py` of its own. The same command resumes: finished runs are kept, a run that was cut short
continues from its checkpoint. FOLDER receives study.json, report.md and pareto.png, after every run. Runs that
study.json already has count as finished, so a study can move to another machine with that file alone.
"""

import dataclasses
import importlib.util
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import ModuleType
from typing import Any

import jointseg_jax
from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.errors import InputError, Interrupted, Unfinished
from jointseg_jax.evaluation import study
from jointseg_jax.storage.files import read_json, write_json

RESULT = "result.json"  # of a finished run
_PROGRAMS = pathlib.Path(jointseg_jax.__file__).parents[1]
_TILE = 192  # coarse pixels of an evaluation's windows, so that the halo costs little
_STUDY = "study.json"
_COST = "cost.json"
_STOPPED = 75


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
        say: receives a line per finished run.
    """

    def __init__(
        self,
        config: pathlib.Path,
        folder: pathlib.Path,
        overrides: Sequence[str],
        workers: int,
        say: Callable[[str], None] = print,
    ):
        self.rows = _attribute(config.with_name("ablations.py"), "ROWS")
        self.folds: tuple[str, ...] = tuple(_attribute(config, "FOLDS"))
        self._config, self._folder, self._overrides, self._say = config, folder, tuple(overrides), say
        self._workers = workers
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopping = threading.Event()
        known = read_json(folder / _STUDY) if (folder / _STUDY).exists() else []
        self._results = {_key(result): result for result in known}

    def run(self, runs: Sequence[Run]) -> None:
        """Prepares the datasets and carries out the runs that are not finished.

        Raises:
            InputError: a dataset cannot be prepared, or study.json has runs of another length.
            Unfinished: a run failed; its log names the reason.
            Interrupted: a run was stopped.
        """
        steps = self._steps(runs[0])
        if others := {int(result["steps"]) for result in self._results.values()} - {steps}:
            raise InputError(
                f"{self._folder / _STUDY} has runs of {min(others)} steps, but these would have {steps}: "
                "use another folder"
            )
        missing = [run for run in runs if dataclasses.astuple(run) not in self._results]
        for fold, dates in dict.fromkeys((run.fold, n) for run in missing for n in self._needed(run)):
            self._prepare(fold, dates)
        failed: dict[Run, str] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                pending: dict[Future[None], Run] = {pool.submit(self._carry_out, run): run for run in missing}
                count = len(pending)
                while pending:
                    for future in wait(pending, timeout=1.0, return_when=FIRST_COMPLETED).done:
                        run = pending.pop(future)
                        try:
                            future.result()
                            self.report()
                        except (InputError, Interrupted) as error:  # of one run; the others go on
                            failed[run] = str(error)
                        done = f"[{count - len(pending)}/{count}]"
                        self._say(f"{done} {run}: {failed.get(run) or self._line(run)}")
            except BaseException:
                self._stop()
                raise
        if failed:
            run, why = next(iter(failed.items()))
            raise Unfinished(f"{len(failed)} of {count} runs failed, first {run}: {why}; run the same command to retry")

    def report(self) -> None:
        """Writes study.json and the report of all finished runs."""
        for path in sorted((self._folder / "runs").glob(f"*/*/*/{RESULT}")):
            for result in _records(path):
                self._results[_key(result)] = result
        if self._results:
            results = [self._results[key] for key in sorted(self._results)]
            write_json(self._folder / _STUDY, results)
            study.write_report(results, self._folder)

    def _carry_out(self, run: Run) -> None:
        workdir = run.workdir(self._folder)
        if (workdir / RESULT).exists() or self._stopping.is_set():
            return
        workdir.mkdir(parents=True, exist_ok=True)
        row = self.rows[run.row]
        argument = f"fold={run.fold}" + (f",{row.arguments}" if row.arguments else "")
        self._call(
            "train.py",
            f"--config={self._config}:{argument}",
            f"--workdir={workdir}",
            f"--config.seed={run.seed}",
            f"--config.dataset.path={self._dataset(run.fold, row.dates)}",
            *(f"--config.{field}" for field in row.fields),
            *self._overrides,
            log=workdir,
            costs=True,
        )
        self._call("evaluate.py", f"--workdir={workdir}", f"--tile={_TILE}", log=workdir)
        results = [result_of(run, workdir)]
        for dates in row.judged:
            output = workdir / "evaluation" / f"dates{dates}"
            flags = [f"--tile={_TILE}", f"--dates={dates}", f"--output={output}"]
            if dates > row.dates:
                flags.append(f"--dataset={self._dataset(run.fold, dates)}")
            self._call("evaluate.py", f"--workdir={workdir}", *flags, log=workdir)
            name = f"{run.row} on {dates}"
            results.append({**result_of(run, workdir, output.name), "row": name, "same_run_as": run.row})
        write_json(workdir / RESULT, results if row.judged else results[0])

    def _needed(self, run: Run) -> list[int]:
        """The numbers of dates of the datasets that a run reads; the dates of one begin those of a larger one."""
        row = self.rows[run.row]
        return [row.dates, *(dates for dates in row.judged if dates > row.dates)]

    def _steps(self, run: Run) -> int:
        given = [flag.partition("=")[2] for flag in self._overrides if flag.startswith("--config.steps=")]
        return int(given[-1]) if given else int(_attribute(self._config, "get_config")(f"fold={run.fold}").steps)

    def _prepare(self, fold: str, dates: int) -> None:
        path = self._dataset(fold, dates)
        path.mkdir(parents=True, exist_ok=True)
        fields = [field for field in self._overrides if field.startswith("--config.dataset.")]
        config = f"--config={self._config}:fold={fold}" + (f",dates={dates}" if dates > 1 else "")
        self._call("prepare.py", config, f"--config.dataset.path={path}", *fields, log=path.parent / f"{path.name}-log")

    def _dataset(self, fold: str, dates: int) -> pathlib.Path:
        return self._folder / "datasets" / (fold if dates == 1 else f"{fold}-dates{dates}")

    def _call(self, program: str, *arguments: str, log: pathlib.Path, costs: bool = False) -> None:
        """Runs a program to its end; adds its CPU seconds to the run's cost.

        Raises:
            InputError: it failed; the message has its last line.
            Interrupted: it was stopped.
        """
        log.mkdir(parents=True, exist_ok=True)
        path = log / f"{program.removesuffix('.py')}.log"
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(_PROGRAMS / program), *arguments],
                stdout=output,
                stderr=output,
                env=self._environment(),
            )
            self._processes.add(process)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self._processes.discard(process)
        if costs:
            spent = read_json(log / _COST)["seconds"] if (log / _COST).exists() else 0.0
            write_json(log / _COST, {"seconds": spent + used.ru_utime + used.ru_stime})
        if process.returncode == _STOPPED or self._stopping.is_set():
            raise Interrupted(f"{program} was stopped")
        if process.returncode:
            last = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
            raise InputError(f"{program} ended with status {process.returncode} ({path}): {last[-1][:300]}")

    def _environment(self) -> dict[str, str]:
        if self._workers == 1:
            return dict(os.environ)
        flags = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        return {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_NUM_CPU_DEVICES": "1", "OMP_NUM_THREADS": "1"}

    def _stop(self) -> None:
        """Asks all programs to stop; trainings save a checkpoint first."""
        self._stopping.set()
        for process in list(self._processes):
            process.terminate()

    def _line(self, run: Run) -> str:
        found = _records(run.workdir(self._folder) / RESULT)[0]
        return f"F1 {found['f1']:.3f}" + (f", PSNR {found['psnr_1m']:.2f} dB" if found["psnr_1m"] is not None else "")


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
    overall = metrics["overall"]
    stages = {stage["scale"]: stage for stage in overall["stages"]}
    one, first = stages.get(10.0, {}), stages.get(4.0, {})
    return {
        "row": run.row,
        "fold": run.fold,
        "seed": run.seed,
        "steps": read_json(workdir / "config.json")["steps"],
        "seconds": round(read_json(workdir / _COST)["seconds"], 1),
        **{key: overall["isa"][key] for key in ("f1", "precision", "recall")},
        **{key: overall.get(key) for key in ("f1_best", "average_precision")},  # absent in older evaluations
        "macro_f1": overall["macro_f1"],
        "area_ratio": overall["area_ratio"],
        "fraction_rmse_10m": overall["fraction_10m"]["rmse"],
        "psnr_1m": one.get("psnr"),
        "psnr_bicubic_1m": one.get("psnr_bicubic"),
        "psnr_2.5m": first.get("psnr"),
        "psnr_bicubic_2.5m": first.get("psnr_bicubic"),
        "parameters": metrics["parameters"],
        "flops": 1e6 * metrics["mega_flops_per_input_pixel"],
        "step": metrics["step"],
    }


def _attribute(path: pathlib.Path, name: str) -> Any:
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


def _chosen(given: str, known: Sequence[str], flag: str) -> list[str]:
    names = list(known) if given == "all" else [part for part in given.split(",") if part]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{flag}={given}: {unknown[0]!r} is unknown; known: {', '.join(known)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out a study; returns the exit status."""
    parser = cli.Arguments(
        prog="python -m jointseg_jax.evaluation.ablation", description="A study over folds and seeds."
    )
    parser.add_argument("config", type=pathlib.Path, help="config file with FOLDS, such as configs/dubai.py")
    parser.add_argument("folder", type=pathlib.Path, help="of the study")
    parser.add_argument("--names", default="all", help="rows of ablations.py, separated by commas, or all")
    parser.add_argument("--seeds", default="0", help="seeds, separated by commas")
    parser.add_argument("--folds", default="all", help="folds of the config, separated by commas, or all")
    parser.add_argument("--workers", default="1", help="runs at a time, each on one core if there are several")

    def work() -> None:
        given, overrides = parser.parse_known_args(arguments)
        if strange := [flag for flag in overrides if not flag.startswith("--config.")]:
            raise InputError(f"{strange[0]} is unknown: overrides of the config look like --config.steps=1200")
        try:
            seeds = [whole(0).parse(seed) for seed in given.seeds.split(",")]
            workers = int(whole(1).parse(given.workers))
        except ValueError as error:
            raise InputError(f"--seeds={given.seeds} --workers={given.workers}: {error}") from error
        found = Study(given.config, given.folder, overrides, workers)
        names = _chosen(given.names, list(found.rows), "--names")
        folds = _chosen(given.folds, found.folds, "--folds")
        # Rows come last, so that every row is seen on one fold before any is seen on two.
        found.run([Run(row, fold, int(seed)) for seed in seeds for fold in folds for row in names])
        found.report()
        print(f"written to {given.folder}: {_STUDY}, report.md, pareto.png")

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
