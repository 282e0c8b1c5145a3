"""The radiometry contract: what the numbers in the rasters mean.

Dataset, checkpoint and prediction share it, so a network only sees values in the units it was trained on. This module
is plain data and imports without rasterio.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from jointseg_jax.storage import typed

UNITS = ("reflectance", "display", "dB", "m", "index")
COARSE_SPACING = 10.0  # metres: the lattice of all inputs
FINE_FACTOR = 10  # fine pixels on the side of a coarse pixel
BEYOND = 1e6  # larger than any real value, in all units
COMPOSITE_TAG = "COMPOSITE"  # of a raster that is one, with its kind
COMPOSITES = {"medoid": "medoid of several dates"}  # kind of composite -> how a contract names it
IGNORE = 255  # label value that losses and scores skip


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Per band, over the training split, in the modality's units: mean, standard deviation, 0.1 and 99.9 percentile."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Speckle:
    """The speckle filter of radar backscatter, see `speckle.filter_speckle`.

    Attributes:
        filter: `lee`.
        window: side of its window, pixels, odd.
        looks: equivalent number of looks of the product.
    """

    filter: str
    window: int
    looks: float

    def __post_init__(self) -> None:
        if self.filter != "lee":
            raise ValueError(f"the speckle filter {self.filter!r} is unknown: use 'lee'")
        if self.window < 3 or self.window % 2 == 0 or not self.looks > 0:
            raise ValueError(f"a speckle filter has an odd window of 3 or more pixels, and looks above 0, not {self}")

    @property
    def reach(self) -> int:
        """Pixels around a pixel that its value depends on."""
        return self.window // 2

    def __str__(self) -> str:
        return f"{self.filter} filter of {self.window} x {self.window} pixels, {self.looks:g} looks"


@dataclasses.dataclass(frozen=True)
class Modality:
    """One raster of a site: bands that share a spacing and an encoding.

    `value = (stored + offset) * scale`, in `units`. A pixel is invalid where any band equals `nodata`; in `display`
    units where all bands do (an 8-bit stretch saturates single valid bands at 0 or 255). Also invalid, for any
    `nodata`: integer reflectance of 0; floating-point reflectance and backscatter of exactly 0 in all bands, the fill
    of warping; floating-point values that are not finite or exceed `BEYOND` (fill such as -3.4e38).

    Attributes:
        name: of the modality and of its files.
        bands: names, in the order of the arrays' last axis.
        spacing: metres, a multiple of `COARSE_SPACING`.
        dtype: of stored numbers.
        units: one of `UNITS`.
        nodata: stored number that marks absence.
        scale, offset: see above.
        dates: acquisitions per site.
        optional: some training sites lack it, so the network was trained with zero masks in its place.
        statistics: over the training split.
        mtf: of the sensor at Nyquist, per band; empty if unknown. The network's base image is deconvolved with it.
        speckle: filter that the dataset's values went through, and that a scene's go through when they are read.
    """

    name: str
    bands: tuple[str, ...]
    spacing: float
    dtype: str
    units: str
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    statistics: Statistics | None = None
    dates: int = 1
    optional: bool = False
    mtf: tuple[float, ...] = ()
    speckle: Speckle | None = dataclasses.field(default=None, metadata=typed.LATER)

    def __post_init__(self) -> None:
        if self.units not in UNITS:
            raise ValueError(f"modality {self.name!r} has the units {self.units!r}, which must be one of {UNITS}")
        if self.speckle is not None and self.units != "dB":
            raise ValueError(f"modality {self.name!r} has a speckle filter, which is for dB, not for {self.units!r}")

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Converts stored numbers [..., bands] to float32 values in `units`."""
        return (stored.astype(np.float32) + np.float32(self.offset)) * np.float32(self.scale)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Inverse of `decode`, as floats; for integer dtypes rounded and at least 1, because 0 is nodata."""
        stored = values / self.scale - self.offset
        if np.issubdtype(np.dtype(self.dtype), np.floating):
            return stored
        return np.clip(np.round(stored), 1, np.iinfo(self.dtype).max)

    def valid(self, stored: np.ndarray) -> np.ndarray:
        """Where stored numbers [..., bands] are measurements: bool [...]."""
        if np.issubdtype(stored.dtype, np.floating):
            with np.errstate(over="ignore", invalid="ignore"):
                finite = (np.abs(self.decode(stored)) < BEYOND).all(-1)  # False for NaN
            if self.units in ("reflectance", "dB"):
                finite &= (stored != 0).any(-1)
        elif self.units == "reflectance":
            finite = (stored != 0).all(-1)
        else:
            finite = np.ones(stored.shape[:-1], bool)
        nodata = None if self.nodata is None else _as_stored(self.nodata, stored.dtype)
        if nodata is None:
            return finite
        absent = stored == nodata
        return finite & ~(absent.all(-1) if self.units == "display" else absent.any(-1))

    def normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, float32 [bands]; raises `ValueError` before statistics are known."""
        if self.statistics is None:
            raise ValueError(f"modality {self.name!r} has no statistics yet")
        return np.asarray(self.statistics.mean, np.float32), np.asarray(self.statistics.std, np.float32)


@dataclasses.dataclass(frozen=True)
class Contract:
    """The modalities, image bands and label of a dataset, which a network expects.

    `image_bands` names the three bands of the 1 m image. They are bands of the first modality, and the image is in its
    units.
    """

    modalities: tuple[Modality, ...]
    image_bands: tuple[str, ...]
    label: str = "impervious"
    classes: tuple[str, ...] = ("pervious", "impervious")
    composite: str = "single acquisition"

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("a contract needs at least one modality")
        missing = [b for b in self.image_bands if b not in self.primary.bands]
        if missing:
            raise ValueError(
                f"image bands {missing} are not in the first modality {self.primary.name!r} {self.primary.bands}"
            )

    @property
    def composite_kind(self) -> str:
        """A key of `COMPOSITES`; "none" for single dates, whatever `composite` says of them."""
        return next((kind for kind, name in COMPOSITES.items() if name == self.composite), "none")

    @property
    def primary(self) -> Modality:
        """The modality that holds the image bands."""
        return self.modalities[0]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the label's values 0 and 1; the default names apply only to the default label."""
        if self.label != Contract.label and self.classes == Contract.classes:
            return "other", self.label
        return self.classes

    @property
    def image_index(self) -> tuple[int, ...]:
        """Positions of the image bands in the primary modality."""
        return tuple(self.primary.bands.index(b) for b in self.image_bands)

    @property
    def dates(self) -> int:
        """Length of the date axis of all inputs: the largest number of acquisitions of any modality."""
        return max(m.dates for m in self.modalities)

    def replace(self, **changes: Any) -> "Contract":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def first_dates(self, count: int | None) -> "Contract":
        """The contract of the first dates of the same data; None for all."""
        if count is None:
            return self
        kept = tuple(dataclasses.replace(m, dates=min(m.dates, count)) for m in self.modalities)
        return self.replace(modalities=kept)


def upgraded(fields: Any) -> Any:
    """The JSON values of a contract; an early version stated `dates` once, for all modalities."""
    if not isinstance(fields, dict) or "dates" not in fields or not isinstance(fields.get("modalities"), list):
        return fields
    rest = {k: v for k, v in fields.items() if k != "dates"}
    shared = {"dates": fields["dates"]}
    return {**rest, "modalities": [shared | m if isinstance(m, dict) else m for m in fields["modalities"]]}


def _as_stored(nodata: float, dtype: np.dtype) -> np.generic | None:
    """A nodata value in the dtype of stored numbers; None if no number can equal it (NaN, or -9999 if unsigned)."""
    if np.issubdtype(dtype, np.floating):
        return None if np.isnan(nodata) else dtype.type(nodata)
    bounds = np.iinfo(dtype)
    representable = np.isfinite(nodata) and nodata == round(nodata) and bounds.min <= nodata <= bounds.max
    return dtype.type(round(nodata)) if representable else None


def common_spacing(modalities: tuple[Modality, ...]) -> float:
    """The smallest spacing, metres, that is a whole multiple of `COARSE_SPACING` and of every modality's."""
    return COARSE_SPACING * math.lcm(*(round(m.spacing / COARSE_SPACING) for m in modalities))


def _input(contract: Contract) -> str:
    return COMPOSITES.get(contract.composite_kind, "of single dates")


def differences(trained: Contract, given: Contract) -> list[str]:
    """Lists, one sentence each, why a network trained under `trained` cannot take data under `given`; empty if it can.

    Names, bands, spacing, units and speckle filter must agree. Statistics may differ because they belong to the
    training split. Dtype, nodata, scale and offset may differ because each file is decoded with its own. A modality
    that was trained with several dates may have any number of them, any other has one.
    """
    found = []
    by_name = {m.name: m for m in given.modalities}
    for want in trained.modalities:
        have = by_name.get(want.name)
        if have is None:
            found.append(f"modality {want.name!r} is missing")
            continue
        for field in ("bands", "spacing", "units", "speckle"):
            a, b = getattr(want, field), getattr(have, field)
            if a != b:
                found.append(f"modality {want.name!r} has {field} {b} where the network was trained with {a}")
        if have.dates > 1 and want.dates == 1:
            found.append(
                f"modality {want.name!r} has {have.dates} dates where the network was trained with one; --dates=1 uses "
                "the first"
            )
        if have.optional and not want.optional:
            found.append(f"modality {want.name!r} is absent at some sites, which the network was never trained for")
    if trained.composite_kind != given.composite_kind:
        found.append(f"its input is {_input(given)}, but the network was trained on {_input(trained)}")
    for field in ("image_bands", "label", "classes"):
        a, b = getattr(trained, field), getattr(given, field)
        if a != b:
            found.append(f"{field} is {b}, but the network was trained with {a}")
    return found
