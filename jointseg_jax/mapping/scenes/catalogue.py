"""The catalogue of opened scenes, which the planning process writes and every worker reads."""

import dataclasses
import datetime
import itertools
import math
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.rasters.contract import COARSE_SPACING, Contract
from jointseg_jax.rasters.scene import Layer, Scene
from jointseg_jax.sources.dates import interval_of
from jointseg_jax.storage import typed


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
        epsg = epsg_of(self.scene.lattice)
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


def epsg_of(lattice: GeoBox) -> int | None:
    """The EPSG code of a lattice; None without one."""
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
        for name in ("collar", "clouds"):  # matches plans from before these
            if layer[name] is None:
                del layer[name]
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
