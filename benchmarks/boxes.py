"""Runs parts of a measurement one after another, each as a process within its own time box.

It imports no other package: a machine that lacks one loses the parts that need it, and no others.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
GRACE = 8.0  # seconds of a box, half of a short one, between SIGTERM and SIGKILL


@dataclasses.dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: of its record and of its log.
        command: arguments of its process.
        share: of the whole time, for its box; the last part gets what is left.
        result: JSON file that it writes; read even if the part was cut.
        lacks: why it cannot run; empty if it can.
    """

    name: str
    command: tuple[str, ...]
    share: float
    result: pathlib.Path
    lacks: str = ""


def save(path: pathlib.Path, record: Any) -> None:
    """Writes JSON as a whole: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    partial.write_text(json.dumps(record, indent=1))
    partial.replace(path)


def run_parts(
    parts: Sequence[Part],
    report: dict[str, Any],
    path: pathlib.Path,
    seconds: float,
    *,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Runs all parts; the report is written before and after each.

    Args:
        parts: in the order of their worth.
        report: receives `parts`: name -> status ("running", "done", "failed", "cut", "left out"), why, seconds, box,
            result.
        path: of the report; logs lie beside it.
        seconds: for all parts together, from now.
        environment: of the processes, beside this process's own.
        say: receives a line per part.
    """
    deadline = time.monotonic() + seconds
    report["parts"] = {}
    for part in parts:
        left = deadline - time.monotonic()
        box = left if part is parts[-1] else min(part.share * seconds, left)
        row: dict[str, Any] = {"status": "running", "box": round(box, 1)}
        report["parts"][part.name] = row
        lacks = part.lacks or ("no time was left" if box < 1 else "")
        if lacks:
            row |= {"status": "left out", "why": lacks}
        else:
            save(path, report)
            say(f"{part.name}: at most {box:.0f} s")
            row |= _carried_out(part, box, path.with_name(f"{part.name}.log"), {**os.environ, **environment})
        save(path, report)
        say(f"{part.name}: {row['status']}" + (f", {row['why']}" if row.get("why") else ""))


def _carried_out(part: Part, box: float, log: pathlib.Path, environment: Mapping[str, str]) -> dict[str, Any]:
    part.result.unlink(missing_ok=True)
    began = time.monotonic()
    status, why = "done", ""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                part.command, cwd=ROOT, stdout=output, stderr=output, env=dict(environment), start_new_session=True
            )
        except OSError as error:
            return {"status": "failed", "why": f"{part.command[0]} cannot be started: {error.strerror}"}
        try:
            code = process.wait(max(box - GRACE, box / 2))
            if code:
                status, why = "failed", f"status {code}: {_end_of(log)}"
        except subprocess.TimeoutExpired:
            status, why = "cut", f"not finished after {time.monotonic() - began:.0f} s"
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, began + box - time.monotonic()))
        finally:
            _signal(process, signal.SIGKILL)  # also what the part left behind
            process.wait()
    return {"status": status, "why": why, "seconds": round(time.monotonic() - began, 1), "result": _read(part.result)}


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends a signal to a part and all processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _end_of(log: pathlib.Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:400] if lines else "no output"


def python(*arguments: str) -> tuple[str, ...]:
    """A command of this interpreter."""
    return (sys.executable, *arguments)
