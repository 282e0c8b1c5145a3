"""Reads and writes the plan of a product: `plan.geojson` for people, `inputs/catalogue.json` for every worker."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_zone, zone_of_epsg
from jointseg_jax.mapping.area.partition import GRID, Candidate, PlannedTile, outline
from jointseg_jax.mapping.scenes import catalogue
from jointseg_jax.rasters.cloud_choice import NONE, CloudChoice
from jointseg_jax.rasters.clouds import ClearRule
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_text
from jointseg_jax.storage.locks import exclusive

PLAN, CATALOGUE, LEDGER = "plan.geojson", "inputs/catalogue.json", "ledger"
_ABOUT = "jointseg"  # the foreign member of the GeoJSON that holds everything but the tiles
_PARTS = {
    "network": "another network or checkpoint",
    "settings": "other settings",
    "area": "another area of interest or grid",
    "scenes": "other scenes, or scenes with changed files",
    "contents": "other scenes, or scenes with changed files",
}


# Settings that earlier versions lack: left out at their default, so that the identity of a product stays the same.
_LATER = {
    "dates": None,
    "support": False,
    "uncertainty": "",
    "cloud": NONE,
    "clear": ClearRule().codes,
    "cloud_buffer": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that determine the values of a product, besides network, ground and scenes.

    Attributes:
        grid: side of a tile's square, metres.
        halo: see `Predictor`; 0 before it is measured.
        tile, batch, augment, dtype: see `Predictor`.
        image, confidence, support: whether these rasters are written.
        uncertainty: digest of the record that sets, intervals and dissimilarity are written with; empty for none.
        radiometry, bands, dates: see `rasters.open_scene`.
        cloud, clear, cloud_buffer: see `CloudChoice`; products from before masks of cloud have none.
    """

    grid: int = GRID
    halo: int = 0
    tile: int = 64
    batch: int | None = None
    augment: bool = False
    dtype: str | None = None
    image: bool = False
    confidence: bool = False
    support: bool = False
    uncertainty: str = ""
    radiometry: str = "contract"
    bands: tuple[int, ...] = ()
    dates: int | None = None
    cloud: str = NONE
    clear: tuple[int, ...] = ClearRule().codes
    cloud_buffer: float = 0.0

    @property
    def clouds(self) -> CloudChoice:
        """The masks of cloud."""
        return CloudChoice(self.cloud, ClearRule(self.clear, self.cloud_buffer))


@dataclasses.dataclass(frozen=True)
class Plan:
    """A product's plan.

    Attributes:
        tiles: all tiles, including those without a scene.
        settings: see `Settings`.
        network: `name`, `step`, `weights`, `sha256`.
        about: figures for people: areas, refused scenes, expected time and bytes.
    """

    tiles: tuple[PlannedTile, ...]
    settings: Settings
    network: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def units(self) -> list[str]:
        """Names of the tiles that can be mapped."""
        return [t.name for t in self.tiles if t.candidates]


@dataclasses.dataclass(frozen=True)
class _Header:
    """The general member of the GeoJSON; see `Plan`, and `_identity`."""

    identity: dict[str, str]
    settings: Settings
    network: dict[str, Any]
    about: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Properties:
    """A tile in the GeoJSON; see `PlannedTile`."""

    tile: str
    epsg: int
    col: int
    row: int
    bounds: tuple[float, float, float, float]
    owned_m2: float
    whole: bool
    scenes: tuple[str, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if zone_of_epsg(self.epsg) is None or len(self.scenes) != len(self.shares):
            raise ValueError(f"a tile has EPSG:{self.epsg}, {len(self.scenes)} scenes and {len(self.shares)} shares")


@dataclasses.dataclass(frozen=True)
class _Feature:
    """A feature of the GeoJSON."""

    type: Literal["Feature"]
    properties: _Properties
    geometry: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Catalogue:
    """The list of scenes on disk; `version` in version 1 alone."""

    key: str
    scenes: tuple[catalogue.ListedScene, ...]
    version: int = 1

    def entries(self, contract: Contract) -> dict[str, catalogue.CatalogueScene]:
        """The scenes by id."""
        return {listed.id: catalogue.from_listed(listed, contract) for listed in self.scenes}


def save(product: pathlib.Path, plan: Plan, scenes: Sequence[catalogue.CatalogueScene], key: str) -> None:
    """Writes a plan; a different plan is replaced only if none of its tiles is done or started.

    Args:
        product: folder.
        plan: of it.
        scenes: those that the plan was made from.
        key: of the catalogue, see `known_scenes`.

    Raises:
        InputError: the product has a different plan with finished tiles.
    """
    path = product / PLAN
    features = [_feature(t) for t in plan.tiles]
    identity = _identity(plan, features, scenes)
    if path.exists():
        theirs = _read(path)[0].identity
        # Older plans do not record contents.
        differing = [text for part, text in _PARTS.items() if theirs.get(part, identity[part]) != identity[part]]
        if differing:
            ledger = product / LEDGER
            if any(ledger.glob("*.json")):
                what = ", ".join(dict.fromkeys(differing))
                raise InputError(
                    f"{path} was made with {what}, and some of its tiles are done: run with the original network, "
                    "settings, area and scenes, or choose another --output"
                )
            with exclusive(ledger, "run"):  # a run whose first tile is not done yet holds this lock
                _write(product, plan, scenes, key, features, identity)
            return
    _write(product, plan, scenes, key, features, identity)


def _write(
    product: pathlib.Path,
    plan: Plan,
    scenes: Sequence[catalogue.CatalogueScene],
    key: str,
    features: list[dict[str, Any]],
    identity: dict[str, str],
) -> None:
    listed = {"key": key, "scenes": [catalogue.to_json(s) for s in scenes]}
    formats.write_record(product / CATALOGUE, listed, formats.CATALOGUE)
    about = {
        "identity": identity,
        "network": dict(plan.network),
        "settings": _plain(plan.settings),
        "features_sha256": _digest(features),
        **plan.about,
    }
    about = formats.seal(about, formats.PLAN)
    # One tile per line, for reading in an editor.
    lines = ",\n".join(json.dumps(f, ensure_ascii=False, allow_nan=False) for f in features)
    head = json.dumps(about, ensure_ascii=False, allow_nan=False, indent=1)
    write_text(product / PLAN, f'{{"type": "FeatureCollection",\n"{_ABOUT}": {head},\n"features": [\n{lines}\n]}}\n')


def halo_in_use(product: pathlib.Path, network: Mapping[str, Any]) -> int | None:
    """The halo that a network mapped tiles of this product with (see `Plan`); None if it has mapped none."""
    path = product / PLAN
    if not path.exists() or not any((product / LEDGER).glob("*.json")):
        return None
    header, _ = _read(path)
    same = all(header.network[k] == network[k] for k in ("step", "weights", "sha256"))
    return header.settings.halo if same else None


def load(product: pathlib.Path, contract: Contract) -> tuple[Plan, dict[str, catalogue.CatalogueScene]]:
    """Reads a product's plan, and its scenes by id.

    Raises:
        InputError: the files are damaged, or of a newer version.
    """
    plan, listed = read_plan(product), read_scenes(product)
    return plan, {name: catalogue.from_listed(scene, contract) for name, scene in listed.items()}


def read_plan(product: pathlib.Path) -> Plan:
    """Reads a product's plan; raises `InputError` if it is damaged, or of a newer version."""
    header, features = _read(product / PLAN)
    try:
        tiles = tuple(map(_tile, features))
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:  # the geometry
        raise formats.damaged(product / PLAN, formats.PLAN, f"{type(error).__name__}: {error}") from error
    return Plan(tiles, header.settings, header.network, header.about)


def read_scenes(product: pathlib.Path) -> dict[str, catalogue.ListedScene]:
    """Reads a product's scenes by id; raises `InputError` if the list is missing, damaged, or of a newer version."""
    path = product / CATALOGUE
    try:
        listed = typed.read(path, _Catalogue, formats.CATALOGUE)
    except FileNotFoundError as error:
        raise formats.damaged(path, formats.CATALOGUE, "the file is missing") from error
    return {scene.id: scene for scene in listed.scenes}


def known_scenes(product: pathlib.Path, key: str, contract: Contract) -> dict[str, catalogue.CatalogueScene]:
    """Scenes that an earlier run opened under the same `key`; empty if there are none, or the list is damaged."""
    try:
        listed = typed.read(product / CATALOGUE, _Catalogue, formats.CATALOGUE)
    except (OSError, InputError):
        return {}
    return listed.entries(contract) if listed.key == key else {}


def catalogue_key(contract: Contract, settings: Settings) -> str:
    """A digest of the settings that decide how a scene is opened."""
    key = {"contract": typed.plain(contract), "mode": settings.radiometry, "bands": list(settings.bands)}
    own = _plain(settings)
    return _digest({**key, **{k: own[k] for k in ("dates", "cloud", "clear", "cloud_buffer") if k in own}})


def _read(path: pathlib.Path) -> tuple[_Header, tuple[_Feature, ...]]:
    """Reads the plan's general member and its features."""
    try:
        record = read_json(path)
        about = formats.unseal(record[_ABOUT], formats.PLAN, path)
        features = record["features"]
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise formats.damaged(path, formats.PLAN, f"{type(error).__name__}: {error}") from error
    if about.pop("features_sha256", None) not in (None, _digest(features)):  # version 1 had none
        raise formats.damaged(path, formats.PLAN, "its tiles do not match their checksum")
    own = {name: about.pop(name) for name in ("identity", "network", "settings") if name in about}
    header = typed.parse({**own, "about": about}, _Header, formats.PLAN, path)
    return header, typed.parse(features, tuple[_Feature, ...], formats.PLAN, path)


def _identity(plan: Plan, features: list[dict[str, Any]], scenes: Sequence[catalogue.CatalogueScene]) -> dict[str, str]:
    used = {c.scene for t in plan.tiles for c in t.candidates}
    scenes = sorted((s for s in scenes if s.id in used), key=lambda s: s.id)
    # Modification times are left out: a copied or touched file is the same. MTD_MSI*.xml counts by its contents and by
    # the decisions that follow from it.
    read = [
        {k: v for k, v in catalogue.to_json(s).items() if k not in ("stamps", "contents")}
        | {"files": [f[:2] for f in s.stamps if not pathlib.PurePath(f[0]).match("MTD_MSI*.xml")]}
        for s in scenes
    ]
    return {
        "network": _digest({k: plan.network[k] for k in ("step", "weights", "sha256")}),
        "settings": _digest({k: v for k, v in _plain(plan.settings).items() if k != "grid"}),
        "area": _digest([[f["properties"]["tile"], f["geometry"]] for f in features]),
        "scenes": _digest(read),
        "contents": _digest([s.contents for s in scenes]),
    }


def _plain(settings: Settings) -> dict[str, Any]:
    """The JSON values of settings; those that older plans lack only if they are set."""
    return {k: v for k, v in typed.plain(settings).items() if k not in _LATER or v != _LATER[k]}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _feature(tile: PlannedTile) -> dict[str, Any]:
    properties = _Properties(
        tile.name,
        tile.zone.epsg,
        tile.col,
        tile.row,
        (tile.left, tile.bottom, tile.right, tile.top),
        tile.owned_m2,
        tile.whole,
        tuple(c.scene for c in tile.candidates),
        tuple(round(c.share, 4) for c in tile.candidates),
    )
    return dict(typed.plain(_Feature("Feature", properties, shapely.geometry.mapping(outline(tile)))))


def _tile(feature: _Feature) -> PlannedTile:
    p = feature.properties
    zone = zone_of_epsg(p.epsg)
    assert zone is not None  # see _Properties
    whole = shapely.box(*p.bounds)
    owned = whole if p.whole else polygonal(to_zone(shapely.geometry.shape(feature.geometry), zone))
    candidates = tuple(map(Candidate, p.scenes, p.shares))
    return PlannedTile(p.tile, zone, p.col, p.row, *p.bounds, owned, p.owned_m2, p.whole, candidates)
