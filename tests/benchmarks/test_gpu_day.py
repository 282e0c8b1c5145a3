"""The one command for a GPU day: time boxes, what survives a cut, order, and the table."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import harness
import pytest

from benchmarks import boxes, gpu_day

ABOUT = {"began": "2026-01-01 00:00", "commit": "abc", "rehearsal": False}


def part(folder, name, program, *, share=0.2, lacks=""):
    """A part that runs a line of Python; FILE is where its result belongs."""
    result = folder / f"{name}.result"
    program = f"import json, pathlib, sys, time; FILE = pathlib.Path({str(result)!r}); {program}"
    return boxes.Part(name, (sys.executable, "-c", program), share, result, lacks)


def carried_out(folder, parts, seconds):
    report = dict(ABOUT)
    boxes.run_parts(parts, report, folder / "report.json", seconds, environment={"GIVEN": "1"}, say=lambda _: None)
    assert json.loads((folder / "report.json").read_text()) == report
    return report["parts"]


WRITES = "FILE.write_text(json.dumps({'x': 1}))"
pytestmark = pytest.mark.quick


def test_parts_run_in_order_and_their_results_are_kept(tmp_path):
    writes = "import os; FILE.write_text(json.dumps([os.environ['GIVEN'], time.time()]))"
    found = carried_out(tmp_path, [part(tmp_path, name, writes) for name in ("b", "a", "c")], 60)
    assert list(found) == ["b", "a", "c"]
    assert all(row["status"] == "done" and row["why"] == "" for row in found.values())
    times = [row["result"][1] for row in found.values()]
    assert times == sorted(times)


def test_a_part_that_overruns_its_box_is_cut_and_the_next_one_starts(tmp_path):
    hangs = part(tmp_path, "hangs", f"{WRITES}; time.sleep(60)", share=0.3)
    began = time.monotonic()
    found = carried_out(tmp_path, [hangs, part(tmp_path, "next", WRITES)], 30)
    assert time.monotonic() - began < 30  # it would take 60
    assert found["hangs"]["status"] == "cut"
    assert found["hangs"]["result"] == {"x": 1}  # what it had written
    assert found["next"]["status"] == "done"
    assert found["next"]["box"] > 15  # the last one gets what is left


def test_a_part_that_ignores_the_request_to_end_is_killed_with_its_children(tmp_path):
    child = "import subprocess; FILE.write_text(str(subprocess.Popen(['sleep', '60']).pid))"
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {child}; time.sleep(60)"
    found = carried_out(tmp_path, [part(tmp_path, "deaf", deaf, share=0.1), part(tmp_path, "next", WRITES)], 30)
    assert found["deaf"]["status"] == "cut"
    assert found["deaf"]["seconds"] < 30  # it would take 60
    deadline = time.monotonic() + 5
    while _lives(found["deaf"]["result"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(found["deaf"]["result"])


def _lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_part_that_fails_is_recorded_with_its_reason(tmp_path):
    absent = boxes.Part("absent", ("/nonexistent/program",), 0.2, tmp_path / "absent.result")
    raises = part(tmp_path, "raises", "print('first'); raise ValueError('no such device')")
    killed = part(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    lacking = part(tmp_path, "lacking", WRITES, lacks="there is no data")
    found = carried_out(tmp_path, [absent, raises, killed, lacking, part(tmp_path, "next", WRITES)], 60)
    assert {name: row["status"] for name, row in found.items()} == {
        "absent": "failed", "raises": "failed", "killed": "failed", "lacking": "left out", "next": "done",
    }  # fmt: skip
    assert found["raises"]["why"] == "status 1: ValueError: no such device"
    assert found["killed"]["why"] == "status -9: no output"
    assert found["lacking"]["why"] == "there is no data"
    assert not (tmp_path / "lacking.result").exists()


def test_without_time_a_part_is_left_out(tmp_path):
    found = carried_out(tmp_path, [part(tmp_path, "slow", "time.sleep(20)", share=1), part(tmp_path, "b", WRITES)], 2)
    assert found["slow"]["status"] == "cut"
    assert found["b"] == {"status": "left out", "box": found["b"]["box"], "why": "no time was left"}


def test_an_old_result_is_not_taken_for_a_new_one(tmp_path):
    (tmp_path / "fails.result").write_text('{"x": 0}')
    found = carried_out(tmp_path, [part(tmp_path, "fails", "sys.exit(3)")], 30)
    assert found["fails"]["result"] is None


def test_a_killed_run_keeps_what_was_done(tmp_path):
    program = tmp_path / "run.py"
    program.write_text(
        "import pathlib, sys\n"
        f"sys.path[:0] = [{str(harness.ROOT)!r}, {str(pathlib.Path(__file__).parent)!r}]\n"
        "from benchmarks import boxes\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def part(name, program):\n"
        "    result = folder / f'{name}.result'\n"
        "    code = f'import pathlib, time; pathlib.Path({str(result)!r}).write_text(chr(49)); {program}'\n"
        "    return boxes.Part(name, (sys.executable, '-c', code), 0.4, result)\n"
        "parts = [part('quick', 'pass'), part('long', 'time.sleep(10)')]\n"
        "boxes.run_parts(parts, {}, folder / 'report.json', 60, environment={}, say=print)\n"
    )
    process = subprocess.Popen([sys.executable, program, tmp_path])
    report, deadline = tmp_path / "report.json", time.monotonic() + 30
    while not (tmp_path / "long.result").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = json.loads(report.read_text())["parts"]
    assert (found["quick"]["status"], found["quick"]["result"]) == ("done", 1)
    assert found["long"]["status"] == "running"


def test_the_parts_are_in_order_of_worth_and_their_boxes_fit(tmp_path):
    found = gpu_day.parts(tmp_path, False, 9.0, "/opt/python")
    assert [p.name for p in found] == [
        "device", "start", "halo", "train_step", "mapping_paper", "mapping_default", "study",
    ]  # fmt: skip
    assert sum(p.share for p in found) < 1  # something is left for the study
    assert "--peer-python=/opt/python" in found[3].command
    assert not any("peer" in word for word in gpu_day.parts(tmp_path, False, 9.0, None)[3].command)
    documented = (harness.ROOT / "docs" / "benchmarks.md").read_text()
    assert all(f"`{p.name}`" in documented for p in found)


def test_the_study_needs_its_data(tmp_path, monkeypatch):
    monkeypatch.delenv("JOINTSEG_DATA", raising=False)
    assert "JOINTSEG_DATA" in gpu_day.parts(tmp_path, False, 9.0, None)[-1].lacks
    monkeypatch.setenv("JOINTSEG_DATA", os.fspath(tmp_path))
    assert gpu_day.parts(tmp_path, False, 9.0, None)[-1].lacks == ""


@pytest.mark.parametrize(("flag", "words"), [("--parts=device,maps", "maps is unknown"), ("--output=.", "not empty")])
def test_a_mistake_in_the_flags_is_refused(tmp_path, capsys, flag, words):
    assert gpu_day.main([f"--output={tmp_path / 'new'}", flag]) == 2
    assert words in capsys.readouterr().err


def test_the_table_of_a_stored_report():
    run = {"first_step_seconds": 61.0, "last_step_seconds": 70.0, "steps": 300, "patches_per_second": 400.0}
    step = {
        "ours": {
            "seconds_to_compile": {"trace": 5.0, "compile": 55.0}, "step_seconds": {"median": 0.5},
            "patches_per_second": 32.0, "share_of_matmul_peak": {"bfloat16": 0.3}, "roofline": {"share": 0.6},
        },
        "config": {"dtype": "bfloat16"},
        "peers": {
            "variants": {
                "eager": {"times_our_seconds": {"wall": {"median": 1.5}}}, "regions": {"failed": "within 40 s"},
            }
        },
    }  # fmt: skip
    rate = {"km2_per_s": 40.0, "km2_per_s_inside": 60.0}
    results = {
        "device": {
            "machine": {"device": "NVIDIA H200", "jax": "0.10.2"},
            "peaks": {"matmul": {"float32": 3e14, "bfloat16": 7e14}, "bandwidth": 4e12},
        },
        "start": {"cold": run},
        "halo": {"float32": {"changes": {"8": {"largest": 0.01}}}, "between": {"largest": 0.002}},
        "train_step": step,
        "mapping_paper": {"runs": [rate], "cost": {"km2_per_gpu_hour": 216_000.0}},
        "study": [{"row": "joint", "fold": "scene1", "f1": 0.7, "seconds": 90.0}],
    }
    rows = {name: {"status": "done", "why": "", "seconds": 1.0, "box": 2.0, "result": r} for name, r in results.items()}
    rows["start"] |= {"status": "cut", "why": "not finished after 80 s"}
    rows["mapping_default"] = {"status": "left out", "why": "no time was left", "box": 0.1}
    text = gpu_day.table(json.loads(json.dumps({**ABOUT, "parts": rows})))
    for words in (
        "bfloat16 700 TFLOP/s; 4,000 GB/s", "| start | cut (not finished after 80 s) | 1.0 | 2.0 | cold: first step",
        "float32 8 px 1.0e-02; between dtypes 2.0e-03", "500.0 ms, 32.00 patches/s, 30% of the matmul peak",
        "PyTorch eager 1.50 of our time; PyTorch regions: within 40 s", "60 inside, 216,000 km2 per GPU-hour",
        "joint scene1: F1 0.700, 90 CPU s", "| mapping_default | left out (no time was left) | - | 0.1 | - |",
    ):  # fmt: skip
        assert words in text, (words, text)


@pytest.mark.slow
def test_a_rehearsal_of_the_first_parts(tmp_path):
    """With real programs: what `start` trains, `halo` reads."""
    command = [sys.executable, "benchmarks/gpu_day.py", "--rehearse", "--minutes=120", f"--output={tmp_path / 'day'}"]
    done = subprocess.run(
        [*command, "--parts=device,start,halo"], cwd=harness.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "day" / gpu_day.REPORT).read_text())["parts"]
    assert [row["status"] for row in rows.values()] == ["done"] * 3, rows
    assert rows["device"]["result"]["peaks"]["bandwidth"] > 0
    assert rows["start"]["result"]["cold"]["steps"] == 4
    assert rows["start"]["result"]["warm"]["steps"] == 5
    assert set(rows["halo"]["result"]["bfloat16"]["changes"]) == {"2", "4"}
    assert "REHEARSAL: no figures" in done.stdout
