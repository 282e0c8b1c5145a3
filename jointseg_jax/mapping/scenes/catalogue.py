"""Opens the scenes of --input under the network's contract, and lists them for the workers.

Opening decides how a scene's values are interpreted. The planning process does this once, so every worker reads the
same values.
"""

import dataclasses
import datetime
import hashlib
import itertools
import math
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
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract
from jointseg_jax.rasters.lattice import crs_name
from jointseg_jax.rasters.metric import warp_advice
from jointseg_jax.rasters.open_scene import OpenedScene, open_files
from jointseg_jax.rasters.radiometry.product_metadata import classification, metadata_files
from jointseg_jax.rasters.raster_files import files_behind
from jointseg_jax.rasters.scene import Layer, Scene
from jointseg_jax.storage import typed
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
            f"{where} is in {crs_name(lattice)}, but the map of an area needs scenes in a UTM zone of WGS 84: "
            f"{warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )
    off = [v - COARSE_SPACING * round(v / COARSE_SPACING) for v in (lattice.affine.c, lattice.affine.f)]
    if max(map(abs, off)) > _TOLERANCE:
        raise InputError(
            f"{where} is {off[0]:+.2f} m and {off[1]:+.2f} m off the 10 m lattice of its UTM zone, which all scenes of "
            f"an area must share: {warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )


def _epsg(lattice: GeoBox) -> int | None:
    return None if lattice.crs is None else lattice.crs.epsg


@dataclasses.dataclass(frozen=True)
class _Place:
    """A lattice of `COARSE_SPACING`."""

    epsg: int
    left: float
    top: float
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A bool array, packed."""

    shape: tuple[int, int]
    bits: bytes

    def __post_init__(self) -> None:
        if min(self.shape) < 0 or len(self.bits) != -(-math.prod(self.shape) // 8):
            raise ValueError(f"{len(self.bits)} bytes do not hold a mask of {self.shape}")


@dataclasses.dataclass(frozen=True)
class ListedScene:
    """A `CatalogueScene` as the catalogue on disk lists it: without the contract."""

    id: str
    date: str
    cloud: float | None
    lattice: _Place
    layers: dict[str, tuple[Layer, ...]]
    decisions: dict[str, str]
    valid: _Mask
    stamps: tuple[tuple[str, int, int], ...]
    contents: str = ""


def to_json(entry: CatalogueScene) -> dict[str, Any]:
    """Converts an entry to the JSON values of a `ListedScene`."""
    scene, affine = entry.scene, entry.scene.lattice.affine
    listed = ListedScene(
        entry.id,
        entry.date,
        entry.cloud,
        _Place(entry.epsg, float(affine.c), float(affine.f), *scene.shape),
        {name: tuple(map(_with_finite_nodata, layers)) for name, layers in scene.layers.items()},
        entry.decisions,
        _Mask(entry.valid.shape, np.packbits(entry.valid).tobytes()),
        entry.stamps,
        entry.contents,
    )
    fields = typed.plain(listed)
    for layer in itertools.chain(*fields["layers"].values()):
        del layer["modality"]["statistics"]
        if layer["collar"] is None:  # matches plans from before collars
            del layer["collar"]
    return dict(fields)


def from_listed(listed: ListedScene, contract: Contract) -> CatalogueScene:
    """Restores an entry."""
    place, mask = listed.lattice, listed.valid
    affine = Affine(COARSE_SPACING, 0, place.left, 0, -COARSE_SPACING, place.top)
    lattice = GeoBox((place.height, place.width), affine, f"EPSG:{place.epsg}")
    bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), count=math.prod(mask.shape))
    return CatalogueScene(
        listed.id,
        Scene(listed.id, lattice, listed.layers, contract),
        listed.decisions,
        bits.reshape(mask.shape).astype(bool),
        listed.date,
        listed.cloud,
        listed.stamps,
        listed.contents,
    )


def _with_finite_nodata(layer: Layer) -> Layer:
    """JSON has no NaN. Non-finite values are invalid anyway, so NaN as the nodata value is equivalent to None."""
    nodata = layer.modality.nodata
    if nodata is None or math.isfinite(nodata):
        return layer
    return dataclasses.replace(layer, modality=dataclasses.replace(layer.modality, nodata=None))
