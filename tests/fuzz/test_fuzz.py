"""Thousands of damaged, strange and disguised inputs: a right result or one sentence, nothing else.

What fails is printed with its smallest case. To try a case again, name its kind and what was printed behind "case:":

    JOINTSEG_FUZZ="raster [('feet', 31365669)]" python -m pytest -m slow tests/fuzz
"""

import ast
import os

import pytest
from fuzz import (
    assessments,
    catalogues,
    configs,
    datasets,
    doors,
    engine,
    monitors,
    products,
    rasters,
    runs,
    seeds,
    sites,
    vectors,
)

MODULES = (rasters, sites, catalogues, vectors, products, assessments, monitors, runs, doors, configs, datasets)
KINDS = {kind.name: kind for module in MODULES for kind in module.KINDS}
LEAST = 2000  # cases in all
_tallies: list[engine.Tally] = []

# pytest-timeout's other way: the alarm is used for single calls.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900, method="thread")]


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    seeds.use(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(autouse=True)
def no_remote(monkeypatch):
    """A spoilt address is refused at once; retries of servers are tested elsewhere and take a minute each."""
    monkeypatch.setenv("JOINTSEG_REMOTE", "0")


@pytest.mark.parametrize("name", KINDS)
def test_a_right_result_or_one_sentence(name, tmp_path):
    kind, only = KINDS[name], os.environ.get("JOINTSEG_FUZZ", "")
    if only:
        if not only.startswith(f"{name} "):
            pytest.skip("another case is to be tried")
        steps = [engine.Step(*step) for step in ast.literal_eval(only.removeprefix(name).strip())]
        outcome = engine.run(kind, steps, tmp_path / "case")
        assert outcome.verdict != "failed", outcome.words
        return
    tally = engine.sweep(kind, tmp_path / "case")
    _tallies.append(tally)
    assert not tally.failed, engine.told(tally)


def test_enough_was_tried(capsys):
    if len(_tallies) < len(KINDS):
        pytest.skip("not all kinds were tried")
    total = engine.Tally("all")
    for tally in _tallies:
        for field in ("right", "refused", "failed", "seconds", "cpu"):
            setattr(total, field, getattr(total, field) + getattr(tally, field))
    with capsys.disabled():
        print("\n" + "\n".join([engine.HEADER, *(t.row() for t in _tallies), total.row()]))
    assert total.cases >= LEAST
