"""Opens the scenes of --input under the network's contract, and lists them for the workers.

Opening decides how a scene's values are interpreted. The planning process does this once, so every worker reads the
same values.
"""

import base64
import dataclasses
import datetime
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.data.dates import interval_of
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.mapping.scenes.find import SceneFiles
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract, Modality
from jointseg_jax.rasters.lattice import crs_name
from jointseg_jax.rasters.metric import warp_advice
from jointseg_jax.rasters.open_scene import OpenedScene, open_files
from jointseg_jax.rasters.radiometry.collar import Collar
from jointseg_jax.rasters.radiometry.product_metadata import metadata_files
from jointseg_jax.rasters.radiometry.sample import classification
from jointseg_jax.rasters.reader import files_behind
from jointseg_jax.rasters.scene import Adjustment, Layer, Scene
from jointseg_jax.storage.files import sampled_sha256

_TOLERANCE = 0.01  # metres by which a scene's corner may miss the zone's lattice


@dataclasses.dataclass(frozen=True)
class CatalogueScene:
    """An opened scene.

    Attributes:
        id: unique in the catalogue.
        scene: with absolute paths.
        decisions: how its values are interpreted.
        valid: where its first modality has data, decimated: bool [h, w].
        date: see `dates.iso_moment`, as precise as known; empty if unknown.
        cloud: per cent, or None.
        stamps: path, bytes and modification time (ns) of every file of the scene, the product's metadata included.
        contents: digest of samples of these files' bytes; empty in catalogues from before it existed.
    """

    id: str
    scene: Scene
    decisions: dict[str, str]
    valid: np.ndarray
    date: str
    cloud: float | None
    stamps: tuple[tuple[str, int, int], ...]
    contents: str = ""

    @property
    def epsg(self) -> int:
        """EPSG code of its UTM zone."""
        epsg = _epsg(self.scene.lattice)
        assert epsg is not None, self.id  # checked on opening
        return epsg

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in metres of its zone."""
        return tuple(float(v) for v in self.scene.lattice.boundingbox.bbox)  # type: ignore[return-value]

    @property
    def datetime(self) -> str | None:
        """RFC 3339; None unless the day is known."""
        found = interval_of(self.date)
        return _rfc3339(found[0]) if found and found[0] == found[1] else None

    @property
    def interval(self) -> tuple[str, str] | None:
        """First and last second, RFC 3339; None if the date is unknown."""
        found = interval_of(self.date)
        return (_rfc3339(found[0]), _rfc3339(found[1])) if found else None


def _rfc3339(time: datetime.datetime) -> str:
    return f"{time.replace(tzinfo=None).isoformat()}Z"


@dataclasses.dataclass(frozen=True)
class Refused:
    """A scene that cannot be used, and the reason in one sentence."""

    id: str
    reason: str


def open_all(
    found: Sequence[SceneFiles],
    contract: Contract,
    *,
    mode: str = "contract",
    bands: tuple[int, ...] = (),
    known: Mapping[str, CatalogueScene] | None = None,
    on_scene: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[CatalogueScene], list[Refused]]:
    """Opens scenes under a contract.

    Args:
        found: the scenes to open.
        contract: of the network's training.
        mode: see `rasters.open_scene`.
        bands: see `rasters.open_scene`.
        known: entries of an earlier run with the same contract, mode and bands; reused if no file has changed.
        on_scene: called with the number of opened scenes and of all scenes.

    Returns:
        The usable scenes in the given order, and the refused ones.
    """
    entries, refused = [], []
    for number, item in enumerate(found, start=1):
        try:
            entries.append(_open(item, contract, mode, bands, known or {}))
        except InputError as error:
            refused.append(Refused(item.id, str(error)))
        on_scene(number, len(found))
    return entries, refused


def _open(
    item: SceneFiles, contract: Contract, mode: str, bands: tuple[int, ...], known: Mapping[str, CatalogueScene]
) -> CatalogueScene:
    files = {name: [path.absolute() for path in paths] for name, paths in item.files().items()}
    stamps = stamps_of(files)
    old = known.get(item.id)
    if old is not None and old.contents and old.stamps == stamps and (old.date, old.cloud) == (item.date, item.cloud):
        return old
    opened = item.opened() if item.opened else open_files(item.id, files, contract, mode=mode, bands=bands)
    _check_lattice(opened, str(files[contract.primary.name][0]))
    return CatalogueScene(
        item.id, opened.scene, opened.decisions, opened.valid, item.date, item.cloud, stamps, contents_of(stamps)
    )


def stamps_of(files: Mapping[str, Sequence[pathlib.Path]]) -> tuple[tuple[str, int, int], ...]:
    """Path, bytes and modification time (ns) of every file of a scene; see `CatalogueScene`."""
    rasters = [path for paths in files.values() for path in paths]
    behind = {file for raster in rasters for file in files_behind(raster)}
    behind |= {xml for file in {f.parent: f for f in behind}.values() for xml in metadata_files(file)}
    behind |= {scl for raster in rasters if (scl := classification(raster)) is not None}
    return tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(behind) if f.exists())


def contents_of(stamps: tuple[tuple[str, int, int], ...]) -> str:
    """A digest that changes with the files' bytes, not with their times; it samples, as whole scenes are too large."""
    return hashlib.sha256("".join(sampled_sha256(path) for path, _, _ in stamps).encode()).hexdigest()


def _check_lattice(opened: OpenedScene, where: str) -> None:
    lattice = opened.scene.lattice
    if zone_of_epsg(_epsg(lattice)) is None:
        raise InputError(
            f"{where} is in {crs_name(lattice)}, which is no UTM zone of WGS 84: wall-to-wall maps lie on those; "
            f"{warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )
    off = [v - COARSE_SPACING * round(v / COARSE_SPACING) for v in (lattice.affine.c, lattice.affine.f)]
    if max(map(abs, off)) > _TOLERANCE:
        raise InputError(
            f"{where} begins {off[0]:+.2f} m and {off[1]:+.2f} m from the 10 m lattice of its zone, which neighbouring "
            f"scenes must share: {warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )


def _epsg(lattice: GeoBox) -> int | None:
    return None if lattice.crs is None else lattice.crs.epsg


def to_json(entry: CatalogueScene) -> dict[str, Any]:
    """Converts an entry to JSON types, without the contract."""
    scene = entry.scene
    height, width = scene.shape
    return {
        "id": entry.id,
        "date": entry.date,
        "cloud": entry.cloud,
        "lattice": {
            "epsg": entry.epsg,
            "left": float(scene.lattice.affine.c),
            "top": float(scene.lattice.affine.f),
            "height": height,
            "width": width,
        },
        "layers": {name: [_layer_to_json(layer) for layer in layers] for name, layers in scene.layers.items()},
        "decisions": entry.decisions,
        "valid": {
            "shape": list(entry.valid.shape),
            "bits": base64.b64encode(np.packbits(entry.valid).tobytes()).decode(),
        },
        "stamps": [list(s) for s in entry.stamps],
        "contents": entry.contents,
    }


def from_json(fields: Mapping[str, Any], contract: Contract) -> CatalogueScene:
    """Inverse of `to_json`."""
    place = fields["lattice"]
    affine = Affine(COARSE_SPACING, 0, place["left"], 0, -COARSE_SPACING, place["top"])
    lattice = GeoBox((place["height"], place["width"]), affine, f"EPSG:{place['epsg']}")
    layers = {name: tuple(_layer_from_json(x) for x in found) for name, found in fields["layers"].items()}
    shape = tuple(fields["valid"]["shape"])
    bits = np.frombuffer(base64.b64decode(fields["valid"]["bits"]), np.uint8)
    return CatalogueScene(
        fields["id"],
        Scene(fields["id"], lattice, layers, contract),
        dict(fields["decisions"]),
        np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool),
        fields["date"],
        fields["cloud"],
        tuple((str(path), int(size), int(time)) for path, size, time in fields["stamps"]),
        fields.get("contents", ""),
    )


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    modality = dataclasses.asdict(layer.modality)
    # JSON has no NaN. Non-finite values are invalid anyway, so NaN as the nodata value is equivalent to None.
    if layer.modality.nodata is not None and not np.isfinite(layer.modality.nodata):
        modality["nodata"] = None
    fields = {**dataclasses.asdict(layer), "modality": {k: v for k, v in modality.items() if k != "statistics"}}
    return {k: v for k, v in fields.items() if (k, v) != ("collar", None)}  # matches plans from before collars


def _layer_from_json(fields: Mapping[str, Any]) -> Layer:
    given = fields["adjustment"]
    modality = fields["modality"]
    return Layer(
        os.fspath(fields["path"]),
        tuple(fields["indexes"]),
        Modality(**{**modality, "bands": tuple(modality["bands"])}),
        None if given is None else Adjustment(tuple(given["gain"]), tuple(given["offset"])),
        fields["own_mask"],
        None if fields.get("collar") is None else Collar(**fields["collar"]),
    )
