"""Scenes with one file per band: `T50RKV_20210601T032541_B02_10m.tif`, cubes of sits, products as .SAFE."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.radiometry.band_names import at_spacing, is_name, match_names
from jointseg_jax.rasters.radiometry.product_metadata import SOURCE_TAG
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.virtual.band_stack import Band, stack_beside
from jointseg_jax.storage.files import file_name

# A band's number between the separators of a name, and the pixel size that products append.
_NUMBER = re.compile(r"(?:^|[_\-. ])(B0?\d{1,2}A?)(?=$|[_\-. ])", re.IGNORECASE)
_SIZE = re.compile(r"[_\-. ](\d{2}m)(?=$|[_\-. ])", re.IGNORECASE)
_PART = re.compile(r"[_\-. ]")


@dataclasses.dataclass(frozen=True)
class BandFiles:
    """The files of one scene.

    Attributes:
        id: the common part of their names.
        files: the part of the name that differs (`B02_10m`) -> the file.
    """

    id: str
    files: Mapping[str, pathlib.Path]

    def stack(self, contract: Contract, folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
        """Writes virtual rasters to the scene's sub-folder, one per modality; none for a missing optional modality.

        Raises:
            InputError: a band is missing, ambiguous, or lies on another lattice.
        """
        files: dict[str, list[pathlib.Path]] = {}
        for modality in contract.modalities:
            bands = self._bands(modality)
            files[modality.name] = []
            if bands:
                first = bands[0].path
                with open_raster(first) as raster:
                    tags = {k: v for k, v in raster.tags().items() if k != "AREA_OR_POINT"}
                target = folder / file_name(self.id) / f"{modality.name}.vrt"
                stacked = stack_beside(target, bands, {**tags, SOURCE_TAG: str(first.absolute())})
                files[modality.name] = [stacked]
        return files

    def has(self, modality: Modality) -> bool:
        """Whether every band has a file, judged by name."""
        return all(match_names(list(self.files), band) for band in modality.bands)

    def _bands(self, modality: Modality) -> list[Band]:
        first = next(iter(self.files.values()))
        names, found = list(self.files), []
        for band in modality.bands:
            matches = at_spacing(match_names(names, band), names, modality.spacing)
            if not matches and modality.optional:
                return []
            if len(matches) != 1:
                what = "more than one file" if matches else "no file"
                raise InputError(
                    f"scene {self.id} in {first.parent} has {what} for band {band} of modality {modality.name!r} (its "
                    f"bands: {', '.join(names)}): add or remove files, or give a folder with one raster per modality, "
                    f"such as {modality.name}.tif"
                )
            found.append(Band(self.files[names[matches[0]]], 1, band))
        return found


def group(rasters: Iterable[pathlib.Path], contract: Contract) -> tuple[list[BandFiles], list[pathlib.Path]]:
    """Splits rasters into scenes of one file per band and the remaining rasters.

    Files whose names differ only in the band form a group; a group with every band of the contract's first modality is
    a scene.
    """
    rasters = list(rasters)
    scenes: dict[tuple[pathlib.Path, str], dict[str, pathlib.Path]] = {}
    for path in rasters:
        told = _told(path.stem)
        if told is not None:
            shared, band = told
            scenes.setdefault((path.parent, shared), {})[band] = path
    found = [BandFiles(shared or folder.name, files) for (folder, shared), files in scenes.items()]
    found = [scene for scene in found if scene.has(contract.primary)]
    taken = {path for scene in found for path in scene.files.values()}
    return found, [path for path in rasters if path not in taken]


def is_safe(folder: pathlib.Path) -> bool:
    """Whether a folder is a Sentinel-2 product in the .SAFE format."""
    return folder.is_dir() and (folder / "GRANULE").is_dir()


def from_safe(folder: pathlib.Path) -> BandFiles:
    """Lists the bands of a product; raises `InputError` if it has none."""
    files = {}
    for path in sorted(folder.glob("GRANULE/*/IMG_DATA/**/*.jp2")):
        told = None if path.name.startswith(".") else _told(path.stem)
        if told is not None:
            files[told[1]] = path
    if not files:
        raise InputError(f"{folder} is incomplete, it has no GRANULE/*/IMG_DATA/**/*_B02*.jp2: download it again")
    return BandFiles(folder.name.removesuffix(".SAFE"), files)


def _told(stem: str) -> tuple[str, str] | None:
    """Splits a file's name into the part common to all bands and the band; None without a band."""
    numbers = list(_NUMBER.finditer(stem))
    if numbers:
        number, size = numbers[-1], _SIZE.search(stem)
        spans = sorted([number.span(), *([size.span()] if size else [])], reverse=True)
        for begin, end in spans:
            stem = stem[:begin] + stem[end:]
        return stem.strip("_-. "), number[1] + (f"_{size[1]}" if size else "")
    parts = _PART.split(stem)
    for count in (3, 2, 1):
        word = "_".join(parts[-count:])
        if count <= len(parts) and len(word) > 1 and is_name(word):
            return "_".join(parts[:-count]), word
    return None
