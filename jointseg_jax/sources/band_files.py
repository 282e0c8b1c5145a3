"""Scenes with one file per band: `T50RKV_20210601T032541_B02_10m.tif`, cubes of sits, an unpacked `R10m` folder."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.band_names import at_spacing, is_name, match_names
from jointseg_jax.rasters.radiometry.product_metadata import classification
from jointseg_jax.rasters.virtual.band_stack import Band
from jointseg_jax.sources.raster_tags import date_and_cloud

RASTERS = (".tif", ".tiff", ".vrt", ".jp2")  # suffixes of files that may be scenes or bands
# A band's number between the separators of a name, and the pixel size that products append.
_NUMBER = re.compile(r"(?:^|[_\-. ])(B0?\d{1,2}A?)(?=$|[_\-. ])", re.IGNORECASE)
_SIZE = re.compile(r"[_\-. ](\d{2}m)(?=$|[_\-. ])", re.IGNORECASE)
_PART = re.compile(r"[_\-. ]")


@dataclasses.dataclass(frozen=True)
class BandFiles:
    """The files of one scene, an `Acquisition`.

    Attributes:
        id: the common part of their names.
        files: the part of the name that differs (`B02_10m`) -> the file.
    """

    id: str
    files: Mapping[str, pathlib.Path]

    @functools.cached_property
    def _told(self) -> tuple[str, float | None]:
        return date_and_cloud(self._first, self.id)

    @property
    def date(self) -> str:
        """See `Acquisition`; by a tag or the name."""
        return self._told[0]

    @property
    def cloud(self) -> float | None:
        """See `Acquisition`; by a tag."""
        return self._told[1]

    def bands(self, modality: Modality) -> list[Band]:
        """See `Acquisition`."""
        where = f"scene {self.id} in {self._first.parent}"
        advice = (
            "add or remove files, or give a folder with one raster per modality, such as "
            f"{modality.name}.tif"
        )  # fmt: skip
        return choose_bands(self.files, modality, where, advice)

    def evidence(self) -> Mapping[str, str]:
        """See `Acquisition`; the files say it themselves."""
        return {}

    def classification(self) -> pathlib.Path | None:
        """See `Acquisition`."""
        return classification(self._first, {})

    def has(self, modality: Modality) -> bool:
        """Whether every band has a file, judged by name."""
        return all(match_names(list(self.files), band) for band in modality.bands)

    @property
    def _first(self) -> pathlib.Path:
        return next(iter(self.files.values()))


def choose_bands(files: Mapping[str, pathlib.Path], modality: Modality, where: str, advice: str) -> list[Band]:
    """The files of a modality's bands, of several spacings the modality's; none for a missing optional modality.

    Args:
        files: band, perhaps with its spacing (`B02_10m`) -> file.
        modality: wanted.
        where, advice: begin and end of the message.

    Raises:
        InputError: a band is missing or ambiguous.
    """
    names, found = list(files), []
    for band in modality.bands:
        matches = at_spacing(match_names(names, band), names, modality.spacing)
        if not matches and modality.optional:
            return []
        if len(matches) != 1:
            what = "more than one file" if matches else "no file"
            raise InputError(
                f"{where} has {what} for band {band} of modality {modality.name!r} (its bands: {', '.join(names)}): "
                f"{advice}"
            )
        found.append(Band(files[names[matches[0]]], 1, band))
    return found


def group(rasters: Iterable[pathlib.Path], first: Modality) -> tuple[list[BandFiles], list[pathlib.Path]]:
    """Splits rasters into scenes of one file per band and the remaining rasters.

    Files whose names differ only in the band form a group; a group with every band of `first` is a scene.
    """
    rasters = list(rasters)
    scenes: dict[tuple[pathlib.Path, str], dict[str, pathlib.Path]] = {}
    for path in rasters:
        told = band_in(path.stem)
        if told is not None:
            shared, band = told
            scenes.setdefault((path.parent, shared), {})[band] = path
    found = [BandFiles(shared or folder.name, files) for (folder, shared), files in scenes.items()]
    found = [scene for scene in found if scene.has(first)]
    taken = {path for scene in found for path in scene.files.values()}
    return found, [path for path in rasters if path not in taken]


def band_in(stem: str) -> tuple[str, str] | None:
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


def rasters_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder with a suffix of `RASTERS`; hidden files, such as `._scene.tif` of macOS, are skipped."""
    return [
        p
        for p in sorted(folder.iterdir())
        if p.suffix.lower() in RASTERS and not p.name.startswith(".") and p.is_file()
    ]
