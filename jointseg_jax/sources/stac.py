"""STAC items as acquisitions: assets are the bands, the item's properties the evidence."""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.band_names import at_spacing, match_names, possible_bands
from jointseg_jax.rasters.radiometry.product_metadata import RECORDED_OFFSET
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.virtual.band_stack import Band
from jointseg_jax.sources.raster_tags import moment_in
from jointseg_jax.sources.stac_item import Asset, Item
from jointseg_jax.sources.stac_items import resolve
from jointseg_jax.storage.files import plain

_BASELINE = "PROCESSING_BASELINE"
_CLASSIFICATIONS = ("scl", "SCL", "SCL_20m", "scl_20m")


@dataclasses.dataclass(frozen=True)
class StacScene:
    """A STAC item as an `Acquisition`: one date; networks of several dates map one, too."""

    item: Item

    @property
    def id(self) -> str:
        """See `Acquisition`."""
        return self.item.id

    @property
    def date(self) -> str:
        """See `Acquisition`."""
        return moment_in(self.item.date)

    @property
    def cloud(self) -> float | None:
        """See `Acquisition`."""
        return self.item.cloud

    def bands(self, modality: Modality) -> list[Band]:
        """See `Acquisition`.

        An asset whose key is the modality's name is that modality; otherwise there is one asset per band, found by its
        key or its recorded band names.

        Raises:
            InputError: a band is missing or ambiguous.
        """
        return _bands(self.item, modality)

    def evidence(self) -> Mapping[str, str]:
        """See `Acquisition`: the item's properties."""
        # GDAL ends a key at a colon.
        said = {k.replace(":", "_"): v for k, v in self.item.properties.items()}
        version = self.item.properties.get("processing:version", "")
        if re.fullmatch(r"\d\d\.\d\d", version):  # the Copernicus catalogue's name for the processing baseline
            said.setdefault(_BASELINE, version)
        bands = [a for a in _measured(self.item) if possible_bands(a.key) or any(a.bands)]
        offsets = {offset / scale for asset in bands for scale, offset in asset.scalings if scale}
        if len(offsets) == 1:
            said[RECORDED_OFFSET] = f"{offsets.pop():g}"
        return said

    def classification(self) -> pathlib.Path | None:
        """See `Acquisition`; an asset of one of the usual keys, if it can be read."""
        for key in _CLASSIFICATIONS:
            if key in self.item.assets:
                with contextlib.suppress(InputError):  # a copy of the bands alone is a scene
                    return _file(self.item, self.item.assets[key])
        return None


def _bands(item: Item, modality: Modality) -> list[Band]:
    if modality.name in item.assets:
        asset = item.assets[modality.name]
        path = _file(item, asset)
        with open_raster(path) as raster:
            names = [d or "" for d in raster.descriptions]
        recorded = [n[0] if n else "" for n in asset.bands]
        if len(recorded) == len(names):
            names = [own or other for own, other in zip(names, recorded, strict=True)]
        return [Band(path, i, name) for i, name in enumerate(names, start=1)]
    found = []
    for name in modality.bands:
        matches = _matches(_measured(item), name, modality.spacing)
        if not matches and modality.optional:
            return []
        if len(matches) != 1:
            raise InputError(
                f"{item.path}: item {item.id!r} has {'more than one' if matches else 'no'} asset for {name} of "
                f"modality {modality.name!r} among {sorted(item.assets)}: name one {name}, or {modality.name} "
                "if it has all bands of the modality"
            )
        asset, number = matches[0]
        found.append(Band(_file(item, asset), number, name))
    return found


def _matches(measured: Sequence[Asset], band: str, spacing: float) -> list[tuple[Asset, int]]:
    """Assets that match a band, with the band's number in each: by key, or if none matches, by recorded names."""
    keys = [asset.key for asset in measured]
    by_key = at_spacing(match_names(keys, band), keys, spacing)
    if by_key:
        return [(measured[i], 1) for i in by_key]
    recorded = [
        (asset, number)
        for asset in measured
        for number, names in enumerate(asset.bands, start=1)
        if match_names(names, band)
    ]
    return [recorded[i] for i in at_spacing(range(len(recorded)), [a.key for a, _ in recorded], spacing)]


def _measured(item: Item) -> list[Asset]:
    """The assets that hold data, by their roles."""
    return [a for a in item.assets.values() if not a.roles or {"data", "reflectance"} & set(a.roles)]


def _file(item: Item, asset: Asset) -> pathlib.Path:
    if not asset.href:
        raise InputError(
            f"{item.path}: asset {asset.key!r} of item {item.id!r} has no href: set it to the path of the file"
        )
    path = resolve(asset.href, item.path)
    if remote.is_remote(path):
        return path
    try:
        return plain(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{item.path}: asset {asset.key!r} of item {item.id!r} refers to {path}, which cannot be read "
            f"({getattr(error, 'strerror', None) or error}): correct its href"
        ) from error
