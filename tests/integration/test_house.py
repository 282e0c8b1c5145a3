"""The house as CONTRIBUTING describes it: imports run one way."""

import ast
import importlib
import inspect
import pathlib

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("jobs", "rasters", "data", "models", "training", "mapping", "evaluation")


def imported(path):
    """Dotted names of the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_import_is_overlooked(tmp_path):
    """However it is written; else the tests below would see nothing."""
    (tmp_path / "a.py").write_text(
        "import a.b\nfrom jointseg_jax import mapping\n\ndef f():\n    from jointseg_jax.data.splits import CODES\n"
    )
    assert set(imported(tmp_path / "a.py")) == {"a.b", "jointseg_jax.mapping", "jointseg_jax.data.splits.CODES"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room):
    above = {f"jointseg_jax.{name}" for name in ROOMS[ROOMS.index(room) + 1 :]}
    for path in sorted((ROOT / "jointseg_jax" / room).rglob("*.py")):
        assert not {".".join(name.split(".")[:2]) for name in imported(path)} & above, path


@pytest.mark.parametrize(("library", "place"), [("rasterio", "rasters"), ("orbax", "training/checkpoints")])
def test_a_library_is_known_in_one_place(library, place):
    users = [
        path
        for path in (ROOT / "jointseg_jax").rglob("*.py")
        if any(name.split(".")[0] == library for name in imported(path))
    ]
    assert users
    assert all(path.is_relative_to(ROOT / "jointseg_jax" / place) for path in users), users


def test_rasters_are_opened_for_reading_in_one_place():
    """`rasters.opening` decides what GDAL may read; everywhere else `rasterio.open` writes."""
    for path in (ROOT / "jointseg_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "rasterio.open" and path.name != "opening.py":
                assert any(isinstance(a, ast.Constant) and a.value == "w" for a in node.args), path


ENTRANCES = {
    "data.prepare": ("prepare",),
    "data.dataset": ("load",),
    "training.loop": ("train",),
    "training.trained": ("load_trained",),
    "training.reproduce": ("reproduce",),
    "rasters.open_scene": ("open_scene",),
    "mapping.scene_map": ("map_scene",),
    "mapping.wall_to_wall": ("plan_area", "map_area"),
    "mapping.aoi": ("read_area",),
    "mapping.export": ("export",),
    "mapping.zonal": ("read_polygons", "zonal"),
    "mapping.zonal_table": ("write_table",),
    "mapping.read_product": ("read_product",),
    "mapping.records": ("write_records",),
    "mapping.viewer.build": ("build",),
    "evaluation.report": ("evaluate",),
    "evaluation.compare": ("rows",),
}


@pytest.mark.parametrize("module", ENTRANCES)
def test_functions_that_users_call_take_paths_as_text(module):
    """As every `open` does; a `pathlib.Path` alone would be an AttributeError of some callee."""
    for name in ENTRANCES[module]:
        function = getattr(importlib.import_module(f"jointseg_jax.{module}"), name)
        kinds = {p.name: str(p.annotation) for p in inspect.signature(function).parameters.values()}
        assert not {n: kind for n, kind in kinds.items() if "Path" in kind and "PathLike" not in kind}, name
