"""The rooms as CONTRIBUTING describes them: imports run one way, and a library is known in one room."""

import ast
import functools
import importlib
import inspect
import pathlib

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "jointseg_jax"
# From the lowest to the highest; a room imports from rooms below it, and from itself.
ROOMS = (
    "errors", "bounds", "storage", "config_file", "flag_set", "cli", "pages",
    "shipped", "jobs", "rasters", "geo", "sources",
    "data", "data.prepare", "landscape", "models", "training", "mapping.predictor", "mapping.product", "mapping.scenes",
    "mapping.records", "mapping.area", "mapping.tools", "mapping.viewer", "mapping", "change", "evaluation",
    "api", "commands", "__main__",
)  # fmt: skip
# Of the room itself, sub-rooms of training import these modules alone.
BELOW_SUB_ROOMS = {"training.state", "training.calibration"}
BELOW = {"build": {"training.method"}}  # of one sub-room
MOST_FILES = 20  # in a room, sub-rooms apart


@functools.cache
def imported(path):
    """Dotted names of the modules that a file imports, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def room_of(name):
    """The room of a dotted name below the package: the longest that it begins with; empty for the package itself."""
    found = [room for room in ROOMS if name == room or name.startswith(f"{room}.")]
    return max(found, key=len, default="")


def files():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def neighbours(path):
    """What a file imports of the package, as dotted names below it."""
    return {n.removeprefix("jointseg_jax.") for n in imported(path) if n.startswith("jointseg_jax.")}


def test_no_import_is_overlooked(tmp_path):
    """However it is written; else the tests below would see nothing."""
    (tmp_path / "a.py").write_text(
        "import a.b\nfrom jointseg_jax import mapping\n\ndef f():\n    from jointseg_jax.data.sensor import Sensor\n"
    )
    assert set(imported(tmp_path / "a.py")) == {"a.b", "jointseg_jax.mapping", "jointseg_jax.data.sensor.Sensor"}
    assert room_of("data.prepare.splits.CODES") == "data.prepare"
    assert room_of("data.dataset") == "data"


def test_every_file_is_in_a_room():
    assert [name for _, name in files() if name and not room_of(name)] == []


def test_imports_run_one_way():
    up = []
    for path, name in files():
        own = room_of(name) or ROOMS[-1]  # the package itself offers the names of `api`
        for other in neighbours(path):
            there = room_of(other)
            if there and ROOMS.index(there) > ROOMS.index(own):
                up.append(f"{name} imports {other}")
    assert up == []


@pytest.mark.parametrize("room", ["build", "losses", "checkpoints", "devices", "run"])
def test_rooms_within_training_import_little_of_it(room):
    allowed = BELOW_SUB_ROOMS | BELOW.get(room, set())
    for path in sorted((PACKAGE / "training" / room).rglob("*.py")):
        for other in neighbours(path):
            parts = other.split(".")
            inside = len(parts) > 1 and (PACKAGE / "training" / parts[1]).is_dir()
            if parts[0] == "training" and not inside:
                assert ".".join(parts[:2]) in allowed, f"{path} imports {other}"


def test_of_training_only_its_entrance_imports_planning():
    users = {name for path, name in files() if any(n.startswith("training.planning.") for n in neighbours(path))}
    assert {name for name in users if not name.startswith("training.planning.")} == {"training.train", "commands.train"}


def test_no_circles_between_modules():
    modules = {name for _, name in files()}

    def module(name):
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name

    graph = {name: {module(n) for n in neighbours(path)} - {name, ""} for path, name in files()}
    done = set()
    while ready := {name for name, needs in graph.items() if name not in done and needs <= done}:
        done |= ready
    assert sorted(modules - done) == []


@pytest.mark.parametrize(
    ("library", "room"),
    [
        ("rasterio", "rasters"),
        ("orbax", "training/checkpoints"),
        ("grain", "data"),
        ("distributed", "jobs"),
        ("dask", "jobs"),
        ("tensorboardX", "training/run"),
        ("tenacity", "storage"),
        ("msgspec", "storage"),
        ("pyogrio", "geo"),
        ("yaml", "data/prepare/labels"),
        ("pystac", "mapping/records"),
        ("pystac_client", "sources"),
        ("xarray", "api"),
        ("rioxarray", "api"),
        ("jax.sharding", "training/devices"),
        ("jax.experimental.multihost_utils", "training/devices"),
        ("jax._src", "nowhere"),
    ],
)
def test_a_library_is_known_in_one_room(library, room):
    users = [p for p, _ in files() if any(n == library or n.startswith(f"{library}.") for n in imported(p))]
    assert bool(users) == (room != "nowhere")
    assert [p for p in users if not p.is_relative_to(PACKAGE / room)] == []


def test_rooms_are_no_corridors_and_say_what_lies_in_them():
    for folder in sorted({path.parent for path, _ in files()} - {PACKAGE}):
        if folder.name == "portable":  # not a package: it is copied into exports
            continue
        assert len(list(folder.glob("*.py"))) - 1 <= MOST_FILES + 6 * (
            folder.name in ("landscape", "rasters", "commands")
        ), folder
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_rasters_are_opened_for_reading_in_one_place():
    """`rasters.opening` decides what GDAL may read; everywhere else `rasterio.open` writes."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "rasterio.open" and path.name != "opening.py":
                assert any(isinstance(a, ast.Constant) and a.value == "w" for a in node.args), path


ENTRANCES = {
    "data.prepare.preparation": ("prepare",),
    "data.dataset": ("load",),
    "training.train": ("train",),
    "training.trained": ("load_trained",),
    "training.reproduce": ("reproduce",),
    "rasters.open_scene": ("open_scene",),
    "mapping.scene_map": ("map_scene",),
    "mapping.area.plan_area": ("plan_area",),
    "mapping.area.map_area": ("map_area",),
    "geo.area_of_interest": ("read_area",),
    "mapping.tools.export": ("export",),
    "mapping.tools.zonal": ("read_polygons", "zonal"),
    "mapping.tools.zonal_table": ("write_table",),
    "mapping.records.read_product": ("read_product",),
    "mapping.records.stac_records": ("write_records",),
    "mapping.viewer.build": ("build",),
    "evaluation.evaluate": ("evaluate",),
    "api.network": ("load",),
    "api.maps": ("read_map",),
    "api.datasets": ("open_dataset",),
    "evaluation.compare": ("rows",),
    "evaluation.compare_products": ("compare_products",),
    "evaluation.products.maps": ("read_map",),
    "evaluation.products.labelled": ("read_grounds",),
}


@pytest.mark.parametrize("module", ENTRANCES)
def test_functions_that_users_call_take_paths_as_text(module):
    """As every `open` does; a `pathlib.Path` alone would be an AttributeError of some callee."""
    for name in ENTRANCES[module]:
        function = getattr(importlib.import_module(f"jointseg_jax.{module}"), name)
        kinds = {p.name: str(p.annotation) for p in inspect.signature(function).parameters.values()}
        assert not {n: kind for n, kind in kinds.items() if "Path" in kind and "PathLike" not in kind}, name
