"""How every program ends: the same statuses and sentences for signals, closed pipes, locales, full disks, memory."""

import ast
import errno
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import Diverged, InputError, Interrupted, StorageError, Unfinished, Unwritable

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = [
    path
    for folder in (ROOT, ROOT / "jointseg_jax", ROOT / "configs", ROOT / "benchmarks")
    for path in sorted(folder.glob("*.py") if folder == ROOT else folder.rglob("*.py"))
    if "__main__" in path.read_text() and "peers" not in path.parts and "portable" not in path.parts
    if path.parent != ROOT and path.name != "__main__.py"
] + sorted((ROOT / "jointseg_jax" / "commands").glob("[!_]*.py"))


def start(work, **options):
    """A process whose program is `work`, lines of Python."""
    lines = ["import pathlib, signal, sys, time", "from jointseg_jax import cli", "", "def work():"]
    program = "\n".join([*lines, textwrap.indent(textwrap.dedent(work), "    "), "cli.end(cli.status_of(work))"])
    env = {**os.environ, **options.pop("env", {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env, **options)


def ended_by(process, *signals):
    """Status and stderr of a process that gets signals, one for each line it says."""
    for number in signals:
        assert process.stdout.readline()
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_stop_cleans_up_and_ends_with_75(number, tmp_path):
    process = start(f"""
        from jointseg_jax.storage.files import atomic_path
        with atomic_path({str(tmp_path / "map.tif")!r}) as temporary:
            temporary.write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """)
    status, err = ended_by(process, number)
    assert status == 75
    assert err == "stopped before the work was done, and no file is half-written: run the same command again\n"
    assert not list(tmp_path.iterdir())


def test_ctrl_c_twice_ends_at_once_with_130():
    process = start("""
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaning up", flush=True)
            time.sleep(60)
    """)
    status, err = ended_by(process, signal.SIGINT, signal.SIGINT)
    assert (status, err) == (130, "")


def test_a_second_sigterm_does_not_disturb_the_cleaning_up(tmp_path):
    process = start(f"""
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaning up", flush=True)
            time.sleep(0.5)
            pathlib.Path({str(tmp_path / "cleaned")!r}).touch()
    """)
    status, _ = ended_by(process, signal.SIGTERM, signal.SIGTERM)
    assert status == 75
    assert (tmp_path / "cleaned").exists()


def test_work_goes_on_when_nobody_reads_what_it_says(tmp_path):
    """As in `prepare.py ... | head -1`."""
    process = start(f"""
        for number in range(20_000):
            print("line", number)
        pathlib.Path({str(tmp_path / "done")!r}).touch()
    """)
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "done").exists()


def test_letters_that_the_terminal_lacks_are_escaped():
    process = start(r"print('gr\xf6\xdfe')", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert process.communicate(timeout=60) == ("gr\\xf6\\xdfe\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0"}, "encoding is ascii: set PYTHONUTF8=1"),
        ({"PYTHONUTF8": "1"}, "rename the file"),
    ],
    ids=["ascii", "utf-8"],
)
def test_a_name_that_cannot_be_handed_on_is_one_sentence(environment, words):
    process = start("b'gr\\xf6\\xdfe.tif'.decode(errors='surrogateescape').encode()", env=environment)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


def test_output_onto_a_full_disk_is_said():
    with pathlib.Path("/dev/full").open("w") as full:
        process = start("print('a table')", stdout=full)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (
        74,
        "error: standard output cannot be written (No space left on device): check the disk it is redirected to\n",
    )


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a.tif is no raster"), 2, "error: a.tif is no raster"),
        (Diverged("no step was finite"), 3, "error: no step was finite"),
        (Unfinished("2 tiles failed"), 4, "error: 2 tiles failed"),
        (StorageError("x cannot be written"), 74, "error: x cannot be written"),
        (Unwritable("y cannot be written"), 74, "error: y cannot be written"),
        (OSError(errno.ENOSPC, "No space left", "z"), 74, "error: z cannot be read or written (No space left): check"),
        (
            PermissionError(errno.EACCES, "Permission denied", "w"),
            2,
            "error: w cannot be used (Permission denied): give another path",
        ),
        (Interrupted("saved: run again"), 75, "saved: run again"),
        (MemoryError(), 2, "error: not enough memory (MemoryError): lower the batch"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocator"), 2, "error: not enough memory ("),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)  # fmt: skip
def test_statuses(error, status, said, capsys):
    def work():
        raise error

    assert cli.status_of(work) == status
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_defects_keep_their_traceback():
    for error in (ValueError("x"), OSError(errno.ENOENT, "gone", "f"), RuntimeError("y")):

        def work(error=error):
            raise error

        with pytest.raises(type(error)):
            cli.status_of(work)


def test_handlers_are_those_of_before():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.stdout
    assert cli.status_of(lambda: None) == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.stdout) == before


def test_arguments_are_one_sentence():
    parser = cli.Arguments()
    parser.add_argument("--zoom", type=cli.number(bounds.ZOOM))
    for given, said in (
        (["--zoom=99"], r"--zoom=99 must be a whole number of at most 20"),
        (["--zoom=x"], r"--zoom=x must be a whole number of at least 0"),
        (["--nosuch"], r"unrecognized arguments: --nosuch"),
        (["--zoom=--"], r"--zoom=-- has no value"),
    ):
        with pytest.raises(InputError, match=said):
            parser.parse_args(given)


def test_a_flag_of_every_command_may_have_underscores():
    parser = cli.Arguments()
    parser.add_argument("--target-se")
    parser.add_argument("place")
    given, rest = parser.parse_known_args(["--target_se=a_b", "a_place", "--config.log_every=5"])
    assert (given.target_se, given.place, rest) == ("a_b", "a_place", ["--config.log_every=5"])
    assert parser.parse_args(["--target_se", "0.1", "--", "--a_place"]).place == "--a_place"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("predict", "--workdir is missing (--help lists the flags)"),
        ("predict --workdir=a", "--input is missing (--help lists the flags)"),
        ("predict --tile=x", "--tile=x must be a whole number of at least 1 input pixels"),
        ("predict --nosuch", "Unknown command line flag 'nosuch' (--help lists the flags)"),
        ("monitor --output=a --doubt=3", "--doubt=3 must be true or false"),
        (
            "monitor --output=a --maps=2017:a,2019:b --skip-refused",  # a flag of predict, with a hyphen
            "--skip_refused applies only to mapping with --years: remove it, or give --years",
        ),
        ("train --config=demo --plan-exact", "--plan_exact says how --plan finds the largest batch: add --plan"),
        ("train --config=demo --config.steps=x", "--config.steps=x must be a whole number of at least 1"),
        (
            "train --config=demo --config.model.blocks[0]=3",
            "--config.model.blocks[0]: an entry of a tuple cannot be changed alone: give all of --config.model.blocks",
        ),
    ],
)
def test_flags_are_one_sentence(command, said):
    """In a process: flags are parsed once."""
    done = subprocess.run(
        [sys.executable, "-m", "jointseg_jax", *command.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {said}")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_program_ends_by_the_door_and_bounds_its_numbers(path):
    """Flags for numbers come from `FlagSet.number` and `cli.number`, whose kinds stand in `bounds.flags`."""
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    assert names & {"cli.run", "cli.status_of", "cli.run_command"} or path.name == "table.py"
    assert not any("DEFINE_" in name for name in names)
    types = {ast.unparse(k.value) for call in calls for k in call.keywords if k.arg == "type"}
    assert not types & {"int", "float"}
