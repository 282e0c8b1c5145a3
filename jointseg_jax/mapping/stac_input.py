"""STAC items as input: their records, and their assets as one raster per modality."""

import dataclasses
import pathlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.files import file_name, read_json
from jointseg_jax.rasters.band_names import aliases
from jointseg_jax.rasters.band_stack import Band, stack_bands
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.product_metadata import SOURCE_TAG
from jointseg_jax.rasters.reader import open_raster

_DEPTH = 8  # catalogues inside catalogues


@dataclasses.dataclass(frozen=True)
class Item:
    """A STAC item.

    Attributes:
        id: its identifier.
        properties: as recorded.
        assets: key -> asset, as recorded.
        path: of the file it stands in; relative hrefs start there.
    """

    id: str
    properties: Mapping[str, Any]
    assets: Mapping[str, Any]
    path: pathlib.Path

    @property
    def date(self) -> str:
        """`datetime`, or `start_datetime` where that is null; empty where both are."""
        return str(self.properties.get("datetime") or self.properties.get("start_datetime") or "")

    @property
    def cloud(self) -> float | None:
        """`eo:cloud_cover` in per cent."""
        value = self.properties.get("eo:cloud_cover")
        return float(value) if isinstance(value, int | float) else None

    def stack(self, contract: Contract, folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
        """Virtual rasters, one per modality, in a folder of its own; none for an optional modality that it lacks.

        An asset whose key is the modality's name is that modality; otherwise there is one asset per band, found by its
        key or the band names recorded with it. What the item says of its radiometry goes into the rasters' tags.

        Raises:
            InputError: a band is missing, ambiguous, remote, or lies on another lattice.
        """
        files: dict[str, list[pathlib.Path]] = {}
        for modality in contract.modalities:
            if modality.dates > 1:
                raise InputError(
                    f"{self.path}: the network takes {modality.dates} dates of modality {modality.name!r}, a STAC item "
                    f"is one: make folders with {modality.name}_0.tif, {modality.name}_1.tif, ... instead"
                )
            bands = self._bands(modality)
            files[modality.name] = []
            if bands:
                target = folder / file_name(self.id) / f"{modality.name}.vrt"
                stack_bands(target, bands, self._tags(bands[0].path))
                files[modality.name] = [target]
        return files

    def _bands(self, modality: Modality) -> list[Band]:
        if modality.name in self.assets:
            path = self._local(modality.name)
            with open_raster(path) as raster:
                names = [d or "" for d in raster.descriptions]
            recorded = [n[0] if n else "" for n in _recorded(self.assets[modality.name])]
            if len(recorded) == len(names):
                names = [own or other for own, other in zip(names, recorded, strict=True)]
            return [Band(path, i, name) for i, name in enumerate(names, start=1)]
        found = []
        for name in modality.bands:
            matches = self._matches(name)
            if not matches and modality.optional:
                return []
            if len(matches) != 1:
                raise InputError(
                    f"{self.path}: item {self.id!r} has {'more than one' if matches else 'no'} asset for {name} of "
                    f"modality {modality.name!r} among {sorted(self.assets)}: name it {name} (or one {modality.name})"
                )
            key, number = matches[0]
            found.append(Band(self._local(key), number, name))
        return found

    def _matches(self, band: str) -> list[tuple[str, int]]:
        """Assets that could be a band, with the band's number in each; the plainest kind of match that there is."""
        wanted = aliases(band)
        plain, worded, recorded = [], [], []
        for key, asset in self.assets.items():
            if "data" not in asset.get("roles", ["data"]) and "reflectance" not in asset.get("roles", []):
                continue
            if key.upper() == band.upper():
                return [(key, 1)]
            if key.upper() in wanted:
                plain.append((key, 1))
            if band.upper() in re.split(r"[^A-Z0-9]+", key.upper()):
                worded.append((key, 1))
            for number, names in enumerate(_recorded(asset), start=1):
                if wanted & {n.upper() for n in names}:
                    recorded.append((key, number))
        return plain or worded or recorded

    def _local(self, key: str) -> pathlib.Path:
        href = str(self.assets[key].get("href", ""))
        path = _local_path(href, self.path)
        if path is None:
            raise InputError(
                f"{self.path}: asset {key!r} of item {self.id!r} is remote ({href[:80]}): fetch it first and point "
                "its href at the file"
            )
        if not path.exists():
            raise InputError(f"{self.path}: asset {key!r} of item {self.id!r} should be {path}, which does not exist")
        return path

    def _tags(self, first: pathlib.Path) -> dict[str, str]:
        with open_raster(first) as raster:
            tags = {k: v for k, v in raster.tags().items() if k != "AREA_OR_POINT"}
        # GDAL takes a colon in a key for the sign that ends it.
        said = {k.replace(":", "_"): str(v) for k, v in self.properties.items() if isinstance(v, str | int | float)}
        # The product's own XML lies beside the file, not beside the virtual raster.
        return {**tags, **said, SOURCE_TAG: str(first.absolute())}


def read_items(path: pathlib.Path) -> list[Item]:
    """The items of a STAC file: an item, an item collection, or a collection or catalogue with links to items.

    Raises:
        InputError: no STAC, a link leads nowhere, or nothing in it.
    """
    items = list(_items(path, 0))
    if not items:
        raise InputError(f"{path} holds no STAC item: link items (rel item) or give an item collection")
    return items


def _items(path: pathlib.Path, depth: int) -> Iterator[Item]:
    if depth > _DEPTH:
        raise InputError(f"{path}: catalogues lie more than {_DEPTH} deep in each other, or in a circle")
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as JSON ({error}): give a STAC item, item collection or collection"
        ) from error
    kind = record.get("type") if isinstance(record, dict) else None
    if kind == "Feature" and "assets" in record:
        yield _item(record, path)
    elif kind == "FeatureCollection" and all("assets" in f for f in record.get("features", [])):
        for feature in record.get("features", []):
            yield _item(feature, path)
    elif kind in ("Collection", "Catalog"):
        for link in record.get("links", []):
            if link.get("rel") in ("item", "items", "child"):
                target = _local_path(str(link.get("href", "")), path)
                if target is None:
                    raise InputError(f"{path} links to {link['href'][:80]}, which is remote: fetch it first")
                yield from _items(target, depth + 1)
    else:
        raise InputError(
            f"{path} is no STAC item, item collection, collection or catalogue (type {kind!r}); a prepared dataset or "
            "a folder of scenes is given as a folder"
        )


def _item(record: Mapping[str, Any], path: pathlib.Path) -> Item:
    if not record.get("id"):
        raise InputError(f"{path} holds an item without an id")
    return Item(str(record["id"]), record.get("properties") or {}, record["assets"] or {}, path)


def _recorded(asset: Mapping[str, Any]) -> list[list[str]]:
    """Names of each band of an asset, as STAC 1.1 (`bands`) or the eo extension (`eo:bands`) has them."""
    bands = asset.get("bands") or asset.get("eo:bands") or []
    keys = ("name", "common_name", "eo:common_name")
    return [[str(b[k]) for k in keys if b.get(k)] for b in bands]


def _local_path(href: str, base: pathlib.Path) -> pathlib.Path | None:
    """A file that a href names, relative to the file it stands in; None where it is not on this machine."""
    parts = urllib.parse.urlsplit(href)
    if parts.scheme not in ("", "file") or href.startswith("/vsi"):
        return None
    return base.parent / urllib.parse.unquote(parts.path if parts.scheme else href)
