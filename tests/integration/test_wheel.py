"""The package as users install it: built, installed away from the checkout, and walked from data to a map."""

import os
import pathlib
import subprocess
import sys
import tomllib
import zipfile

import pytest

import jointseg_jax
from jointseg_jax.commands.table import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
TINY = [
    "--config=demo:sites=3,side=240", "--config.model.blocks=(1,1)", "--config.model.features=(8,8)",
    "--config.model.growth=(4,4)", "--config.model.tail_features=(4,4)", "--config.model.widths=(4,6,8)",
    "--config.data.batch=4", "--config.dataset.patch=12", "--config.dataset.stride=12", "--config.steps=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, made of the source distribution as an index would get both."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "jointseg"  # a copy: building writes beside the package
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={source}/"], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={folder}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def jointseg(wheel, tmp_path_factory):
    """Runs a command of the installed wheel in a folder of its own; the other packages are those of this Python."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python = place / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    site = next((place / "venv" / "lib").glob("python*/site-packages"))
    others = pathlib.Path(pytest.__file__).parents[1]
    (site / "others.pth").write_text(f"{others}\n")  # its own .pth files, such as that of a checkout, do not count
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")} | {"JAX_NUM_CPU_DEVICES": "1"}
    work = place / "work"
    work.mkdir()

    def run(*arguments):
        program = [place / "venv" / "bin" / "jointseg", *arguments]
        done = subprocess.run(program, cwd=work, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import jointseg_jax; print(jointseg_jax.__file__)"
    found = subprocess.run([python, "-c", where], cwd=work, env=env, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(place))
    run.work = work
    return run


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "jointseg_jax", "configs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = {f"jointseg_jax/{f}" if f.startswith("configs/") else f for f in tracked} - {"jointseg_jax/configs"}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert sorted(wanted - held) == []
    assert {name.split("/")[0] for name in held} == {
        "jointseg_jax",
        f"jointseg_jax-{jointseg_jax.__version__}.dist-info",
    }


@pytest.mark.slow
def test_from_the_wheel_to_a_map(jointseg):
    assert jointseg("--version") == f"jointseg-jax {jointseg_jax.__version__}\n"
    for name in COMMANDS:
        assert jointseg(name, "--help").startswith("usage: jointseg ")
    jointseg("prepare", *TINY)
    assert "2 of 2 steps done" in jointseg("train", *TINY, "--workdir=run")
    site = "datasets/demo/sites/downstream-3"
    assert "impervious" in jointseg("predict", "--workdir=run", f"--input={site}", "--output=map")
    assert (jointseg.work / "map" / "impervious.tif").is_file()
    jointseg("evaluate", "--workdir=run")
    assert "joint" in jointseg("compare", "run")
    jointseg("export", "--workdir=run", "--output=exported")  # needs a file that is no module
    assert (jointseg.work / "exported" / "load.py").is_file()


@pytest.mark.quick
def test_versions_and_interpreters_agree():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert about["dynamic"] == ["version"]
    assert f"\nversion: {jointseg_jax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {jointseg_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    stated = {
        c.rpartition(" ")[2] for c in about["classifiers"] if c.startswith("Programming Language :: Python :: 3.")
    }
    assert min(stated, key=lambda v: int(v.split(".")[1])) == about["requires-python"].removeprefix(">=")
    tools = ("pytest", "ruff", "mypy", "hypothesis", "playwright", "build")
    assert not [d for d in about["dependencies"] if d.startswith(tools)]
