"""Finds the files of a Sentinel-2 product beside its rasters, and reads its metadata (`MTD_MSI*.xml`)."""

import dataclasses
import os
import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import zipped
from jointseg_jax.rasters.radiometry.product_place import Ground, meet, parse_footprint

FIRST_WITH_OFFSET = 4.0  # products of processing baseline 04.00 and later store DN = 10000 * reflectance + 1000
# Tags of this program's virtual rasters: the file of the first band, and the product's scene classification.
SOURCE_TAG, CLASSES_TAG = "JOINTSEG_FIRST_FILE", "JOINTSEG_CLASSIFICATION"
RECORDED_OFFSET = "STAC_RASTER_OFFSET"  # tag: the offset of a STAC item's assets divided by their scale, in DN

_TILE = re.compile(r"(?<![A-Z0-9])(?:T|MGRS-)?(\d{2}[C-HJ-NP-X][A-HJ-NP-Z]{2})(?![A-Z0-9])")
_TILE_IN_NAME = re.compile(r"(?<![A-Z0-9])T(\d{2}[C-HJ-NP-X][A-HJ-NP-Z]{2})(?![A-Z0-9])")
_DATE = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")
_BASELINE_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Identifies a product; unknown fields are empty (or None).

    Attributes:
        tile: MGRS tile without its T, such as `50RKV`.
        date: of sensing, `YYYYMMDD`.
        baseline: processing baseline as a number.
    """

    tile: str = ""
    date: str = ""
    baseline: float | None = None

    def differences(self, other: "Identity") -> list[str]:
        """`what mine, not theirs` for each field known to both that differs."""
        found = []
        for what, mine, theirs in (
            ("tile", self.tile, other.tile),
            ("date", self.date, other.date),
            ("baseline", self.baseline, other.baseline),
        ):
            if mine and theirs and mine != theirs:
                shown = [f"{x:05.2f}" if isinstance(x, float) else str(x) for x in (mine, theirs)]
                found.append(f"{what} {shown[0]}, not {shown[1]}")
        return found

    def shares(self, other: "Identity") -> bool:
        """Whether any field is known to both; see `differences` for whether they agree."""
        pairs = ((self.tile, other.tile), (self.date, other.date), (self.baseline, other.baseline))
        return any(mine and theirs for mine, theirs in pairs)


@dataclasses.dataclass(frozen=True)
class ProductMetadata:
    """The content of a metadata file.

    Attributes:
        path: of the file.
        offset: RADIO_ADD_OFFSET or BOA_ADD_OFFSET. 0 without one if the baseline is before 04.00; None if unknown.
        identity: of its product.
        time: of sensing, as written; empty if unknown.
        cloud: per cent of the tile, as written; empty if unknown.
        footprint: of its product; None if unknown.
        sure: false where only tile, baseline or place link it to the raster: products of other dates share them.
    """

    path: pathlib.Path
    offset: float | None
    identity: Identity
    time: str = ""
    cloud: str = ""
    footprint: Ground | None = None
    sure: bool = True


def metadata_files(path: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The Sentinel-2 metadata files beside a raster, or above it in a .SAFE folder; often none."""
    parents = pathlib.Path(path).absolute().parents
    safes = [folder for folder in parents[1:] if folder.suffix.upper() == ".SAFE"]
    return sorted(file for folder in (parents[0], *safes) for file in zipped.files(folder, "MTD_MSI*.xml"))


def classification(path: str | os.PathLike[str], tags: Mapping[str, str]) -> pathlib.Path | None:
    """The Sentinel-2 scene classification (SCL) of a raster; None without one.

    Args:
        path: the raster.
        tags: its metadata. A virtual raster of this program names the classification, or the source file; otherwise
            one of the usual names beside the raster is taken, or in the folder `R20m` of its product.
    """
    if tags.get(CLASSES_TAG):
        return pathlib.Path(tags[CLASSES_TAG])
    raster = pathlib.Path(tags.get(SOURCE_TAG) or path)
    parts = raster.stem.split("_")
    stems = ["scl", "SCL", f"{raster.stem}_scl", f"{raster.stem}_SCL"]
    if len(parts) >= 3:  # T50RKV_20210601T032541_B02_10m
        stems += [f"{parts[0]}_{parts[1]}_SCL_20m", f"{parts[0]}_{parts[1]}_SCL"]
    folders = [raster.parent]
    if raster.parent.name in ("R10m", "R60m"):
        folders.append(raster.parent.with_name("R20m"))
    names = (folder / f"{stem}{ending}" for folder in folders for stem in stems for ending in (".tif", ".jp2"))
    return next((name for name in names if name != raster and zipped.is_file(name)), None)


def read_product_metadata(path: pathlib.Path) -> ProductMetadata:
    """Reads a metadata file.

    Raises:
        InputError: it is not XML, an offset is not a number, or its bands have differing offsets.
    """
    try:
        root = ElementTree.fromstring(zipped.read(path))
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as XML ({error}): download the product's metadata file again"
        ) from error
    texts: dict[str, str] = {}
    offsets: set[float] = set()
    for element in root.iter():
        name, text = element.tag.rpartition("}")[2], (element.text or "").strip()
        if re.fullmatch(r"(RADIO|BOA)_ADD_OFFSET", name) and text:
            offsets.add(number(text, name, str(path)))
        elif text:
            texts.setdefault(name, text)
    if len(offsets) > 1:
        raise InputError(
            f"{path} has different offsets per band {sorted(offsets)}, but a product must have one: check the file"
        )
    named = _from_name(texts.get("PRODUCT_URI") or texts.get("PRODUCT_URI_2A") or texts.get("PRODUCT_URI_1C") or "")
    date = texts.get("DATATAKE_SENSING_START") or texts.get("PRODUCT_START_TIME") or ""
    baseline = parse_baseline(texts["PROCESSING_BASELINE"], str(path)) if "PROCESSING_BASELINE" in texts else None
    identity = Identity(named.tile, _date(date) or named.date, baseline or named.baseline)
    offset = offsets.pop() if offsets else None
    if offset is None and identity.baseline and identity.baseline < FIRST_WITH_OFFSET:
        offset = 0.0
    cloud = texts.get("Cloud_Coverage_Assessment") or texts.get("CLOUDY_PIXEL_PERCENTAGE") or ""
    footprint = parse_footprint(texts.get("EXT_POS_LIST", ""))
    return ProductMetadata(path, offset, identity, date, cloud, footprint)


def product_metadata(
    path: str | os.PathLike[str], tags: Mapping[str, str], ground: Ground | None = None
) -> tuple[ProductMetadata | None, list[str]]:
    """Finds the metadata of a raster's product beside the raster.

    A file that contradicts the raster's tile, date, baseline or place belongs to another product and is not used, and
    neither is one beside the raster that shares none of these with it. A .SAFE folder's own file is that of its images.

    Args:
        path: the raster.
        tags: its metadata. For a virtual raster of this program, they name the source file to search beside.
        ground: of the raster, see `ground_of`.

    Returns:
        The metadata that gives an offset, or None; and one note per unused file.

    Raises:
        InputError: a file cannot be read, or two files of the product give differing offsets.
    """
    raster = pathlib.Path(tags.get(SOURCE_TAG) or path)
    identity = raster_identity(raster, tags)
    used, notes = [], []
    for file in metadata_files(raster):
        found = read_product_metadata(file)
        apart = found.identity.differences(identity)
        near = None if ground is None or found.footprint is None else meet(ground, found.footprint)
        inside = file.parent != raster.absolute().parent
        if near is False:
            apart.append("its footprint lies elsewhere")
        if apart:
            notes.append(f"{file.name} beside it belongs to another product ({'; '.join(apart)}) and is not used")
        elif not (near or inside or found.identity.shares(identity)):
            notes.append(
                f"{file.name} beside it is not used, because nothing shows that it is of the same product: it has no "
                "footprint, and the raster's name and tags have no tile or date that it has; name them in the file's "
                "name, such as T50RKV_20230514T032541.tif"
            )
        elif found.offset is not None:
            sure = inside or bool(found.identity.date and identity.date)
            used.append(dataclasses.replace(found, sure=sure))
    if len({found.offset for found in used}) > 1:
        said = ", ".join(f"{found.path.name} {found.offset:g}" for found in used)
        raise InputError(
            f"{path}: the product metadata files beside it have different offsets ({said}): keep only the file of the "
            "product that the raster was made from"
        )
    return (used[0] if used else None), notes


def raster_identity(path: pathlib.Path, tags: Mapping[str, str]) -> Identity:
    """Identifies a raster's product by its tags, or by its file name where the tags are silent."""
    lower = {k.lower(): v for k, v in tags.items()}

    def tag(*endings: str) -> str:
        return next((v for k, v in lower.items() if k.endswith(endings)), "")

    named = _from_name(path.stem)
    product = _from_name(tag("product_uri", "product_uri_2a", "product_uri_1c", "product_id"))
    tile = _TILE.search(tag("mgrs_tile", "grid_code", "grid:code").upper())
    date = _date(tag("datatake_sensing_start", "datetime"))
    baseline = tag("processing_baseline", "processing:baseline")
    return Identity(
        tile.group(1) if tile else product.tile or named.tile,
        date or product.date or named.date,
        parse_baseline(baseline, str(path)) if baseline else product.baseline or named.baseline,
    )


def parse_baseline(text: str, where: str) -> float:
    """Parses a processing baseline such as `05.09`, `N0509` or `0509`; raises `InputError` if it is not a number."""
    value = number(text.strip().lstrip("Nn"), "the processing baseline", where)
    return value / 100 if value >= 100 else value


def number(text: str, what: str, where: str) -> float:
    """Parses a number from a file's metadata; raises `InputError` if it is not one."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{where}: {what} is {text!r}, which is not a number: correct it") from error


def _from_name(name: str) -> Identity:
    tile = _TILE_IN_NAME.search(name.upper())
    baseline = _BASELINE_IN_NAME.search(name)
    value = float(f"{baseline.group(1)}.{baseline.group(2)}") if baseline else None
    return Identity(tile.group(1) if tile else "", _date(name), value)


def _date(text: str) -> str:
    found = _DATE.search(text)
    return "".join(found.groups()) if found else ""
