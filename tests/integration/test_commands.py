"""The commands of `jointseg`: all are listed, explain every flag at once, and do not load what they do not need."""

import ast
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import jointseg_jax
from jointseg_jax.commands import jointseg
from jointseg_jax.commands.table import COMMANDS
from jointseg_jax.config_file import shipped

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "jointseg_jax" / "commands"
# What a command may import at its top: nothing that takes long.
LIGHT = {"jointseg_jax.cli", "jointseg_jax.errors", "jointseg_jax.bounds", "jointseg_jax.flag_set"}


def help_of(name, capsys):
    assert jointseg.main([name, "--help"]) == 0
    return capsys.readouterr().out


def options_of(name):
    """Patterns of what `--help` must show: the flags and arguments that a command defines, from its source."""
    text = (ROOT / f"{COMMANDS[name].module.replace('.', '/')}.py").read_text()
    flags = set(re.findall(r"FLAGS\.(?:text|texts|switch|choice|number)\(\s*\"(\w+)\"", text))
    flags |= {"config"} if "FLAGS.config()" in text else set()
    given = set(re.findall(r"add_argument\(\s*\"([\w-]+)\"", text))
    return {rf"--(\[no\])?{flag}\b" for flag in flags} | {rf"(^|[ \[]){argument}\b" for argument in given}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_flag_and_ends_with_zero(name, capsys):
    shown = help_of(name, capsys)
    assert shown.startswith(f"usage: jointseg {name.replace('report', 'prepare').replace('plan', 'train')}")
    wanted = options_of(name)
    assert wanted
    assert {option for option in wanted if not re.search(option, shown)} == set()


def test_the_program_lists_its_commands_and_version(capsys):
    assert jointseg.main([]) == jointseg.main(["--help"]) == 0
    listed = re.findall(r"^  ([\w-]+)  ", capsys.readouterr().out, re.M)
    assert listed == list(COMMANDS) * 2
    assert jointseg.main(["--version"]) == 0
    assert capsys.readouterr().out == f"jointseg-jax {jointseg_jax.__version__}\n"


def test_another_command_is_refused_with_the_nearest(capsys):
    assert jointseg.main(["trian"]) == 2
    assert "did you mean train?" in capsys.readouterr().err


def test_every_command_has_its_line():
    modules = {command.module for command in COMMANDS.values()}
    own = {f"jointseg_jax.commands.{p.stem}" for p in FOLDER.glob("[!_]*.py")}
    assert own - modules == {"jointseg_jax.commands.jointseg", "jointseg_jax.commands.table"}
    for module in modules:
        assert callable(importlib.import_module(module).main)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[!_]*.py")), ids=lambda p: p.stem)
def test_commands_import_their_work_when_they_run(path):
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name == "jointseg_jax" or name.startswith("jointseg_jax.commands."):
                continue
            if name.split(".")[0] in sys.stdlib_module_names:
                continue
            assert any(name == light or name.startswith(f"{light}.") for light in LIGHT), name


def test_help_loads_nothing_slow():
    """Of all commands in one process: the libraries that make a start slow stay unloaded."""
    slow = ("jax", "numpy", "rasterio", "pandas", "geopandas", "scipy", "orbax", "grain", "distributed", "matplotlib")
    program = (
        "import sys\nfrom jointseg_jax.commands import jointseg\nfrom jointseg_jax.commands.table import COMMANDS\n"
        "assert all(jointseg.main([name, '--help']) == 0 for name in COMMANDS)\n"
        f"print(sorted(set({slow!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize("name", ["prepare", "train", "evaluate", "predict", "monitor"])
def test_the_scripts_of_a_checkout_are_the_commands(name):
    done = subprocess.run(
        [sys.executable, f"{name}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: jointseg {name} ")


def test_documents_name_commands_that_exist():
    """And the README names them all."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "configs").glob("*.py")]:
        text = path.read_text()
        for found in re.findall(r"(?:`|^ *|\n *|&& )jointseg ([a-z][\w-]*)(?= -|`| [A-Z])", text):
            assert found in COMMANDS, (path, found)
        for config in re.findall(r"--config=([a-z_]+)\b(?![/.\w])", text):
            assert config in shipped(), (path, config)
    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in readme] == []
