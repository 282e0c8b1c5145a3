"""Reads and writes the plan of a product: `plan.geojson` for people, `inputs/catalogue.json` for every worker."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_zone, zone_of_epsg
from jointseg_jax.mapping.area.partition import GRID, Candidate, PlannedTile, outline
from jointseg_jax.mapping.scenes import catalogue
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import read_json, write_text
from jointseg_jax.storage.locks import exclusive

PLAN, CATALOGUE, LEDGER = "plan.geojson", "inputs/catalogue.json", "ledger"
_ABOUT = "jointseg"  # the foreign member of the GeoJSON that holds everything but the tiles
_PARTS = {
    "network": "another network or checkpoint",
    "settings": "other settings",
    "area": "another area of interest or grid",
    "scenes": "other scenes or changed files of them",
    "contents": "other scenes or changed files of them",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that determine the values of a product, besides network, ground and scenes.

    Attributes:
        grid: side of a tile's square, metres.
        halo: see `Predictor`; 0 before it is measured.
        tile, batch, augment, dtype: see `Predictor`.
        image, confidence: whether these rasters are written.
        radiometry, bands: see `rasters.open_scene`.
    """

    grid: int = GRID
    halo: int = 0
    tile: int = 64
    batch: int | None = None
    augment: bool = False
    dtype: str | None = None
    image: bool = False
    confidence: bool = False
    radiometry: str = "contract"
    bands: tuple[int, ...] = ()


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
        theirs = _read(path)[0]["identity"]
        # Older plans do not record contents.
        differing = [text for part, text in _PARTS.items() if theirs.get(part, identity[part]) != identity[part]]
        if differing:
            ledger = product / LEDGER
            if any(ledger.glob("*.json")):
                said = ", ".join(dict.fromkeys(differing))
                raise InputError(
                    f"{path} is the plan of a product with {said}, and tiles of it are done: go on "
                    "with what it was begun with, or take another --output"
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
        "settings": dataclasses.asdict(plan.settings),
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
    about, _ = _read(path)
    same = all(about["network"][k] == network[k] for k in ("step", "weights", "sha256"))
    return int(about["settings"]["halo"]) if same else None


def load(product: pathlib.Path, contract: Contract) -> tuple[Plan, dict[str, catalogue.CatalogueScene]]:
    """Reads a product's plan, and its scenes by id.

    Raises:
        InputError: the files are damaged, or of a newer version.
    """
    path = product / PLAN
    about, features = _read(path)
    settings, network = about.pop("settings"), about.pop("network")
    try:
        formats.check_fields(settings, Settings, path)
        plan = Plan(
            tuple(_tile(f) for f in features),
            Settings(**{**settings, "bands": tuple(settings["bands"])}),
            network,
            about,
        )
    except (AssertionError, KeyError, TypeError, AttributeError) as error:
        raise formats.damaged(path, formats.PLAN, f"{type(error).__name__}: {error}") from error
    path = product / CATALOGUE
    try:
        listed = formats.read_record(path, formats.CATALOGUE)
        return plan, {fields["id"]: catalogue.from_json(fields, contract) for fields in listed["scenes"]}
    except FileNotFoundError as error:
        raise formats.damaged(path, formats.CATALOGUE, "it is gone") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise formats.damaged(path, formats.CATALOGUE, f"{type(error).__name__}: {error}") from error


def known_scenes(product: pathlib.Path, key: str, contract: Contract) -> dict[str, catalogue.CatalogueScene]:
    """Scenes that an earlier run opened under the same `key`; empty if there are none, or the list is damaged."""
    try:
        listed = formats.read_record(product / CATALOGUE, formats.CATALOGUE)
        if listed["key"] != key:
            return {}
        return {fields["id"]: catalogue.from_json(fields, contract) for fields in listed["scenes"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def catalogue_key(contract: Contract, mode: str, bands: tuple[int, ...]) -> str:
    """A digest of the settings that decide how a scene is opened."""
    return _digest({"contract": contract.to_dict(), "mode": mode, "bands": list(bands)})


def _read(path: pathlib.Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Reads the plan's general member and its features."""
    try:
        record = read_json(path)
        about = formats.unseal(record[_ABOUT], formats.PLAN, path)
        features = record["features"]
        if not all(isinstance(about[part], dict) for part in ("identity", "network", "settings")):
            raise TypeError("its parts are no objects")
        if about.pop("features_sha256", None) not in (None, _digest(features)):  # version 1 had none
            raise formats.damaged(path, formats.PLAN, "its tiles are not what was written")
        return about, features
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise formats.damaged(path, formats.PLAN, f"{type(error).__name__}: {error}") from error


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
        "settings": _digest({k: v for k, v in dataclasses.asdict(plan.settings).items() if k != "grid"}),
        "area": _digest([[f["properties"]["tile"], f["geometry"]] for f in features]),
        "scenes": _digest(read),
        "contents": _digest([s.contents for s in scenes]),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _feature(tile: PlannedTile) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {
            "tile": tile.name,
            "epsg": tile.zone.epsg,
            "col": tile.col,
            "row": tile.row,
            "bounds": [tile.left, tile.bottom, tile.right, tile.top],
            "owned_m2": tile.owned_m2,
            "whole": tile.whole,
            "scenes": [c.scene for c in tile.candidates],
            "shares": [round(c.share, 4) for c in tile.candidates],
        },
        "geometry": shapely.geometry.mapping(outline(tile)),
    }


def _tile(feature: Mapping[str, Any]) -> PlannedTile:
    fields = feature["properties"]
    zone = zone_of_epsg(fields["epsg"])
    assert zone is not None, fields
    left, bottom, right, top = (float(v) for v in fields["bounds"])
    whole = shapely.box(left, bottom, right, top)
    owned = whole if fields["whole"] else polygonal(to_zone(shapely.geometry.shape(feature["geometry"]), zone))
    candidates = tuple(Candidate(s, share) for s, share in zip(fields["scenes"], fields["shares"], strict=True))
    return PlannedTile(
        fields["tile"], zone, fields["col"], fields["row"], left, bottom, right, top, owned, fields["owned_m2"],
        fields["whole"], candidates,
    )  # fmt: skip
