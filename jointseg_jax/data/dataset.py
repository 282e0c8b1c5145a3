"""A prepared dataset on disk, its sites and its patches.

DATASET/dataset.json     contract, sites, split rule, licence, provenance
        index.parquet    one row per patch
        sites/NAME/      site rasters, tiled 256, ZSTD: one file per modality, image, label, split
        MADE_BY          marks the folder as ours, see `storage.folders`

If a dataset is prepared again while a process reads it, the new files go to `sites/NAME.2` and `index.2.parquet`.
`dataset.json` always names the current files.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

from jointseg_jax.data.gaps import Gaps
from jointseg_jax.data.sensor import Sensor
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract, upgraded
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.metric import is_utm
from jointseg_jax.rasters.scene import ImageLayer, Layer, Scene
from jointseg_jax.storage import formats, locks, typed
from jointseg_jax.storage.files import sha256

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION, SITES, INDEX = "dataset.json", "sites", "index.parquet"
INDEX_COLUMNS = (
    "site", "region", "split", "date", "crs", "row", "col", "height", "width", "impervious_fraction", "valid_fraction",
)  # fmt: skip
TRUSTED = "trusted_fraction"  # share of the patch where absence in the vectors counts; null if it was not judged


def day_columns(modality: str) -> tuple[str, str]:
    """Further columns of the index: days from the image to the nearest date of a modality, and between its dates.

    They are null where a date is unknown, and absent in older datasets.
    """
    return f"days_{modality}", f"span_{modality}"


class Digest(TypedDict):
    """Size and digests of a raster; `sample` see `files.sampled_sha256`."""

    bytes: int
    sha256: str
    sample: str


@dataclasses.dataclass(frozen=True)
class Registration:
    """How a raster of a site lies on another one, measured by `prepare.registration`.

    Attributes:
        reference: name of the other: a modality, or "image".
        down, right: metres that bring it onto the reference, before it was moved.
        quality: correlation of the gradients at that shift, 0 to 1.
        moved: whole metres down and right by which preparation moved it.
        residual: metres that remain.
    """

    reference: str
    down: float
    right: float
    quality: float
    moved: tuple[int, int]
    residual: float


@dataclasses.dataclass(frozen=True)
class ImageFit:
    """How well the 1 m image's units were fitted to the input's.

    Attributes:
        explained: per band the share of the input's variance that the line explains, negative where it falls.
        blocks: number of common blocks of 60 m.
    """

    explained: tuple[float, ...]
    blocks: int


@dataclasses.dataclass(frozen=True)
class Site:
    """One site of a prepared dataset; paths are relative to the dataset.

    Attributes:
        date: of its image; empty if unknown, see `dates.iso_moment`.
        crs, left, top, height, width: its 10 m lattice.
        layers: modality -> one file per date.
        image_gain, image_offset: per band, from the image file's numbers to the units of the input bands.
        image_nodata: number in all bands of an invalid image pixel, or None.
        image_dtype: of the image file.
        pixels: split -> number of its 10 m pixels.
        notes: decisions and changes made during preparation.
        files: digests of its rasters, see `site_record`; empty in older datasets.
        label_counts: what the vectors of the label hold -> number of features; empty if the label is a raster.
        gaps: where the vectors of the label are missing; None if that was not judged.
        registration: of "image", "label" and the inputs beyond the first date, by file name without its ending, where
            it could be measured; empty in older datasets.
        dates: modality, "image" or "label" -> one date per file, None where unknown; empty in older datasets.
        days: the same keys -> days from the image to each date, negative before it; None where unknown.
        cloudy: modality -> per date the share of the site that its mask of cloud does not show as clear, 0 to 1, None
            without a mask; only of modalities that have masks. None if there are none, and in older datasets.
        fit: of the image's units; None if nothing was fitted, and in older datasets.
    """

    name: str
    region: str
    date: str
    crs: str
    left: float
    top: float
    height: int
    width: int
    layers: dict[str, tuple[str, ...]]
    image: str
    label: str
    split: str
    image_gain: tuple[float, ...]
    image_offset: tuple[float, ...]
    image_nodata: float | None
    image_dtype: str
    pixels: dict[str, int]
    notes: tuple[str, ...]
    files: dict[str, Digest] = dataclasses.field(default_factory=dict)
    label_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    gaps: Gaps | None = dataclasses.field(default=None, metadata=typed.LATER)
    registration: dict[str, Registration] = dataclasses.field(default_factory=dict)
    dates: dict[str, tuple[str | None, ...]] = dataclasses.field(default_factory=dict)
    days: dict[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    cloudy: dict[str, tuple[float | None, ...]] | None = dataclasses.field(default=None, metadata=typed.LATER)
    fit: ImageFit | None = dataclasses.field(default=None, metadata=typed.LATER)

    def replace(self, **changes: Any) -> "Site":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def folder(self) -> str:
        """The folder of its rasters."""
        return str(pathlib.PurePosixPath(self.image).parent)

    @property
    def paths(self) -> tuple[str, ...]:
        """All its rasters."""
        return (self.image, self.label, self.split, *(path for paths in self.layers.values() for path in paths))

    def at(self, folder: str) -> "Site":
        """The same site with its files in another folder, relative to the dataset."""

        def moved(path: str) -> str:
            return f"{folder}/{pathlib.PurePath(path).name}"

        layers = {name: tuple(map(moved, paths)) for name, paths in self.layers.items()}
        return self.replace(layers=layers, image=moved(self.image), label=moved(self.label), split=moved(self.split))


@dataclasses.dataclass(frozen=True)
class Simulated:
    """The modality that was simulated from the image, and the sensor.

    `later_shift` is the standard deviation of the shift of dates after the first, in coarse pixels.
    """

    modality: str
    sensor: Sensor
    later_shift: float = 0.0


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A prepared dataset; `load` opens one.

    Attributes:
        root: its folder.
        contract: of its rasters, with statistics over the training split, if it has one.
        sites: by name.
        index: one row per patch, columns `INDEX_COLUMNS`, `day_columns` of the label and every modality,
            and `TRUSTED`, which older datasets lack.
        simulated: None if no modality was simulated from the image.
        description: everything else in dataset.json.
        mark: prevents removal of the files while this object exists, see `locks.reading`.
    """

    root: pathlib.Path
    contract: Contract
    sites: dict[str, Site]
    index: "pd.DataFrame"
    simulated: Simulated | None
    description: dict[str, Any]
    mark: locks.Mark | None = dataclasses.field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "mark": None}  # the process that opened the dataset keeps the mark

    def scene(self, name: str, contract: Contract | None = None) -> Scene:
        """The inputs and the image of a site, for the modalities of `contract` (default: the dataset's own)."""
        site, contract = self.sites[name], contract or self.contract
        layers = {
            m.name: tuple(
                Layer(str(self.root / path), tuple(range(1, len(m.bands) + 1)), m)
                for path in site.layers.get(m.name, ())
            )
            for m in self.contract.modalities
            if m.name in {wanted.name for wanted in contract.modalities}
        }
        lattice = make_lattice(site.crs, site.left, site.top, COARSE_SPACING, site.height, site.width)
        image = ImageLayer(str(self.root / site.image), site.image_gain, site.image_offset, site.image_nodata)
        return Scene(name, lattice, layers, contract, image)

    def patches(self, split: str) -> "pd.DataFrame":
        """The patches of a split, in index order; raises `InputError` without any."""
        rows = self.index[self.index["split"] == split].reset_index(drop=True)
        if rows.empty:
            known = sorted(self.index["split"].unique())
            raise InputError(
                f"{self.root} has no patches in split {split!r}, only in {', '.join(known)}: give it a site "
                f"(dataset.split.table.{split}), or divide all sites (dataset.split.by='block'), and run "
                "`jointseg prepare` again"
            )
        return rows

    def sites_of(self, split: str) -> list[Site]:
        """The sites with ground in a split; raises `InputError` without any."""
        sites = [s for s in self.sites.values() if s.pixels.get(split)]
        if not sites:
            raise InputError(
                f"{self.root} has no pixels in split {split!r}; choose one of "
                f"{sorted({k for s in self.sites.values() for k, v in s.pixels.items() if v})}"
            )
        return sites


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What a `Dataset` needs of dataset.json."""

    contract: Contract
    sites: tuple[Site, ...]
    simulated: Simulated | None
    index: str = INDEX
    index_sha256: str | None = None  # version 1 had none


_STORED = tuple(field.name for field in dataclasses.fields(_Stored))


def load(root: str | os.PathLike[str], *, hold: bool = True) -> Dataset:
    """Opens a prepared dataset.

    Args:
        root: its folder.
        hold: prevent a new preparation from removing the files while the returned object exists.

    Raises:
        InputError: it is missing, damaged, made by a newer version, or a site is not in UTM.
    """
    root = pathlib.Path(root)
    path = root / DESCRIPTION
    mark = locks.reading(root / SITES) if hold else None  # before the description, which names the files
    try:
        description = formats.read_record(path, formats.DATASET)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing: prepare the dataset first with `jointseg prepare --config=...`"
        ) from error
    description.pop("schema_version", None)  # of version 1
    stored = {name: description.pop(name) for name in _STORED if name in description}
    known = typed.parse({**stored, "contract": upgraded(stored.get("contract"))}, _Stored, formats.DATASET, path)
    sites = {site.name: site for site in known.sites}
    _check_crs(path, known.sites)
    index = _read_index(root / known.index, known.index_sha256)
    return Dataset(root, known.contract, sites, index, known.simulated, description, mark)


def _check_crs(path: pathlib.Path, sites: Iterable[Site]) -> None:
    """Raises `InputError` for a site outside UTM, as early versions accepted: its pixels would not be 1 m2."""
    for crs, name in {site.crs: site.name for site in sites}.items():
        if not is_utm(crs):
            raise InputError(
                f"{path}: site {name!r} is in {crs}, which is no UTM zone of WGS 84 or ETRS89: prepare the dataset "
                "again, with dataset.warp=True"
            )


def _read_index(path: pathlib.Path, digest: str | None) -> "pd.DataFrame":
    """Reads the patches and checks the file against `digest`, which version 1 did not store."""
    try:
        if digest is not None and sha256(path) != digest:
            raise formats.damaged(path, formats.DATASET, "its SHA-256 is not the one in dataset.json")
        import pandas as pd  # most of a second, and only training and evaluation read the index

        index = pd.read_parquet(path)
    except (InputError, MemoryError):  # too little memory is no damage
        raise
    except Exception as error:  # pyarrow raises many types
        reason = str(error).split("\n")[0] or type(error).__name__
        raise formats.damaged(path, formats.DATASET, reason) from error
    if list(index.columns)[: len(INDEX_COLUMNS)] != list(INDEX_COLUMNS):
        raise formats.damaged(
            path, formats.DATASET, f"it has the columns {list(index.columns)} instead of {list(INDEX_COLUMNS)}"
        )
    return index


def select(contract: Contract, names: tuple[str, ...]) -> Contract:
    """Restricts the contract to some modalities, in the given order; an empty tuple keeps all.

    Raises:
        InputError: a name is unknown, or the first modality does not hold the image bands.
    """
    if not names:
        return contract
    known = {m.name: m for m in contract.modalities}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise InputError(f"data.inputs names modalities {unknown}, which the dataset lacks; it has {sorted(known)}")
    try:
        return contract.replace(modalities=tuple(known[n] for n in names))
    except ValueError as error:
        raise InputError(f"data.inputs={names}: {error}") from error
