"""Fills the GPU rows of the documents in one run on one GPU: python benchmarks/gpu_day.py --minutes=9 --output=DIR.

The parts run in order of worth, each as a process within its own time box; what is left of all goes to the last.
DIR/gpu_day.json is written before and after every part, so a cut loses nothing, and holds everything; DIR/<part>.log
has what a part printed, DIR/work what it made. `--rehearse` runs the same parts at toy size on a CPU.
docs/benchmarks.md says which row each part fills.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.boxes import Part, python, run_parts  # noqa: E402
from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds.number import real  # noqa: E402
from jointseg_jax.errors import InputError  # noqa: E402

REPORT = "gpu_day.json"
STUDY_ROWS = "bilinear,deconvolved,capacity,joint"
STUDY_TOY = (
    "model.blocks=(1,1)", "model.features=(4,4)", "model.growth=(4,4)", "model.tail_features=(4,4)",
    "model.widths=(4,8,8)", "model.dilations=(1,)", "data.batch=2", "validate_patches=4", "validate_every=4",
    "checkpoint_every=4",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts and prints the table; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=cli.number(real(0.01, 24 * 60)), default=9.0, help="for all parts together")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a new or empty folder")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, on a CPU")
    parser.add_argument("--parts", default="all", help="some of the parts, separated by commas, or all")
    parser.add_argument("--peer-python", help="interpreter with PyTorch; by default this one, if it has it")
    return cli.status_of(lambda: _work(parser.parse_args(arguments), sys.argv[1:] if arguments is None else arguments))


def _work(given: argparse.Namespace, arguments: Sequence[str]) -> None:
    folder = given.output.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"--output={given.output} is not empty: give a new folder")
    known = parts(folder, given.rehearse, given.minutes, given.peer_python or _own_peer())
    names = [part.name for part in known] if given.parts == "all" else given.parts.split(",")
    if unknown := set(names) - {part.name for part in known}:
        raise InputError(
            f"--parts={given.parts}: {min(unknown)} is unknown; known: {', '.join(part.name for part in known)}"
        )
    report = {
        "command": "python benchmarks/gpu_day.py " + " ".join(arguments),
        "began": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": _commit(),
        "rehearsal": given.rehearse,
    }
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "work" / "xla"),
    } | ({"JAX_PLATFORMS": "cpu"} if given.rehearse else {})
    chosen = [part for part in known if part.name in names]
    run_parts(chosen, report, folder / REPORT, 60 * given.minutes, environment=environment, say=_say)
    print(table(json.loads((folder / REPORT).read_text())))


def parts(folder: pathlib.Path, rehearse: bool, minutes: float, peer: str | None) -> list[Part]:
    """The parts in order of worth.

    Args:
        folder: of the output.
        rehearse: toy sizes.
        minutes: of the whole run.
        peer: interpreter with PyTorch; None for none.
    """
    work = folder / "work"

    def own(name: str, part: str, share: float, *arguments: str) -> Part:
        result = work / f"{name}.json"
        return Part(name, python("-m", "benchmarks.gpu_parts", part, f"--output={result}", *arguments), share, result)

    default, paper = ("toy", "toy") if rehearse else ("default", "paper")
    sizes = ("--size=48", "--tile=24") if rehearse else ()
    return [
        own("device", "device", 0.07, *(["--small"] if rehearse else [])),
        own("start", "start", 0.18, f"--preset={default}", f"--workdir={work / 'default'}",
            *(["--steps=4"] if rehearse else [])),
        own("halo", "halo", 0.08, f"--preset={default}", f"--workdir={work / 'default'}",
            *(["--halos=2,4", "--reference=8"] if rehearse else [])),
        _train_step(work, paper, 60 * minutes * 0.08, peer),
        own("mapping_paper", "mapping", 0.14, f"--preset={paper}", f"--workdir={work / 'paper'}", *sizes),
        own("mapping_default", "mapping", 0.10, f"--preset={default}", f"--workdir={work / 'default'}", *sizes),
        _study(work, rehearse),
    ]  # fmt: skip


def _train_step(work: pathlib.Path, preset: str, peer_seconds: float, peer: str | None) -> Part:
    result = work / "train_step.json"
    toy = ["--rounds=2", "--turn_seconds=0.1", "--data_steps=2"] if preset == "toy" else ["--rounds=5"]
    beside = [f"--peer-python={peer}", "--peers=eager,regions", f"--peer_seconds={max(20, peer_seconds):.0f}"]
    flags = [f"--preset={preset}", "--early", f"--output={result}", *toy, *(beside if peer else [])]
    command = python("benchmarks/train_step.py", *flags)
    return Part("train_step", command, 0.34, result)


def _study(work: pathlib.Path, rehearse: bool) -> Part:
    """As many folds as there is time for: the study writes its figures after every run."""
    names, folds, steps = ("bilinear", "scene2", 4) if rehearse else (STUDY_ROWS, "all", 1200)
    fields = [f"steps={steps}", *(STUDY_TOY if rehearse else ("model.dtype='bfloat16'",))]
    command = python(
        "-m", "jointseg_jax.evaluation.ablation", "configs/dubai.py", str(work / "study"), f"--names={names}",
        f"--folds={folds}", *(f"--config.{field}" for field in fields),
    )  # fmt: skip
    lacks = "" if os.environ.get("JOINTSEG_DATA") else "JOINTSEG_DATA names no folder with dubai/"
    return Part("study", command, 0.0, work / "study" / "study.json", lacks)


def _own_peer() -> str | None:
    return sys.executable if importlib.util.find_spec("torch") else None


def _commit() -> str | None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(report: dict[str, Any]) -> str:
    """The report as text: a row per part, then the figures for the documents."""
    lines = [
        f"{report['began']} UTC, commit {report['commit']}"
        + (", REHEARSAL: no figures" if report["rehearsal"] else ""),
        "",
        "| part | status | s | of | figures |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in report["parts"].items():
        found = _figures(name, row["result"]) if row.get("result") else ""
        why = f"{row['status']} ({row['why']})" if row.get("why") else row["status"]
        lines.append(f"| {name} | {why} | {row.get('seconds', '-')} | {row['box']} | {found or '-'} |")
    return "\n".join(lines)


def _figures(name: str, result: Any) -> str:
    """The main figures of a part; a part that was cut may have only some."""
    if name == "device":
        return _device(result)
    if name == "start":
        return "; ".join(
            f"{kind}: first step after {result[kind]['first_step_seconds']:.1f} s, "
            f"{result[kind]['patches_per_second']:.1f} patches/s"
            for kind in ("cold", "warm")
            if kind in result
        )
    if name == "halo":
        return _halo(result)
    if name == "train_step":
        return _step(result)
    if name.startswith("mapping"):
        run, rate = result["runs"][-1], result["cost"]["km2_per_gpu_hour"]
        return f"{run['km2_per_s']:.3g} km2/s, {run['km2_per_s_inside']:.3g} inside" + (
            f", {rate:,.0f} km2 per GPU-hour" if rate else ""
        )
    return "; ".join(f"{r['row']} {r['fold']}: F1 {r['f1']:.3f}, {r['seconds']:.0f} CPU s" for r in result)


def _device(result: dict[str, Any]) -> str:
    text = f"{result['machine']['device']}, JAX {result['machine']['jax']}"
    if "peaks" in result:
        rates = ", ".join(f"{d} {rate / 1e12:.3g} TFLOP/s" for d, rate in result["peaks"]["matmul"].items())
        text += f"; {rates}; {result['peaks']['bandwidth'] / 1e9:,.0f} GB/s"
    return text


def _halo(result: dict[str, Any]) -> str:
    found = []
    for dtype in ("float32", "bfloat16"):
        changes = result.get(dtype, {}).get("changes", {})
        if changes:
            found.append(f"{dtype} " + ", ".join(f"{halo} px {c['largest']:.1e}" for halo, c in changes.items()))
    if "between" in result:
        found.append(f"between dtypes {result['between']['largest']:.1e}")
    return "; ".join(found)


def _step(result: dict[str, Any]) -> str:
    ours = result["ours"]
    compiling = sum(ours["seconds_to_compile"].values())
    dtype = result["config"]["dtype"]
    text = (
        f"{1e3 * ours['step_seconds']['median']:.1f} ms, {ours['patches_per_second']:.2f} patches/s, "
        f"{ours['share_of_matmul_peak'][dtype]:.0%} of the matmul peak, {ours['roofline']['share']:.0%} of the "
        f"roofline, compiled in {compiling:.0f} s"
    )
    for name, row in result["peers"].get("variants", {}).items():
        if "times_our_seconds" in row:
            text += f"; PyTorch {name} {row['times_our_seconds']['wall']['median']:.2f} of our time"
        else:
            text += f"; PyTorch {name}: {row.get('failed', 'not timed')}"
    return text


if __name__ == "__main__":
    sys.exit(main())
