"""The site: its navigation names pages that exist, its reference is complete, and its tutorial runs."""

import importlib.util
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import jointseg_jax as js
from jointseg_jax.bounds.config import FIELDS
from jointseg_jax.commands.table import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages():
    """The pages that the site makes from the code."""
    found = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site" / "pages.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.pages()


@pytest.mark.quick
def test_the_navigation_names_no_page_that_is_missing(pages):
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = re.findall(r": ([\w./-]+\.(?:md|ipynb))$", nav, re.M)
    written = {p.name for p in (ROOT / "docs").iterdir() if p.suffix in (".md", ".ipynb")}
    assert set(pages) <= set(named) <= written | set(pages)  # other guides go to the end of "How to"


@pytest.mark.quick
def test_the_reference_is_complete(pages):
    fields = pages["reference/config.md"]
    assert [field for field in FIELDS if f"| `{field}` |" not in fields] == []
    assert "| `validate_patches` | `unset` | a whole number of at least 1 | number of patches, evenly spread" in fields
    assert "| `dataset.patch` | `32` |" in fields
    for name in COMMANDS:
        assert f"## jointseg {name}\n\n```text\nusage: jointseg " in pages["reference/commands.md"]
    assert [name for name in js.__all__ if f".{name}\n" not in pages["reference/python.md"]] == []
    assert "| 75 | stopped by SIGTERM" in pages["reference/statuses.md"]
    assert "| checkpoint |" in pages["reference/formats.md"]
    assert "](method.md)" in pages["index.md"]
    assert "docs/" not in re.sub(r"`[^`]*`", "", pages["index.md"])


@pytest.mark.quick
def test_docstrings_of_the_interface_name_each_argument_apart():
    """The reference has a row per argument, so a line for several of them ends the build."""
    public = [getattr(js, name) for name in js.__all__]
    methods = [
        m for c in public if inspect.isclass(c) for n, m in vars(c).items() if inspect.isfunction(m) and n[0] != "_"
    ]
    checked = 0
    for function in [f for f in public if inspect.isfunction(f)] + methods:
        arguments = re.search(r"\nArgs:\n((?:    .*\n?)+)", inspect.getdoc(function) or "")
        if arguments:
            named = re.findall(r"^    (\S[^:]*):", arguments[1], re.M)
            assert named == [n for n in inspect.signature(function).parameters if n != "self"], function.__qualname__
            checked += 1
    assert checked > 3


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    """Its cells in order, in this process; what stands behind `!` in a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict = {}
    for cell in json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        for line in re.split(r"^(!.*)$", "".join(cell["source"]), flags=re.M):
            if line.startswith("!jointseg "):
                command = line.removeprefix("!jointseg ").format(**names)
                subprocess.run(
                    f"{sys.executable} -m jointseg_jax {command}", shell=True, check=True,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"},
                )  # fmt: skip
            else:
                exec(line, names)
    assert names["map_"].sizes["x"] == 360
    assert float(abs(names["again"]["probability"] - names["map_"]["probability"]).max()) == 0
    assert next(iter((pathlib.Path.cwd() / "runs" / "tutorial" / "evaluation" / "test").glob("report.html")))
