"""Finds a modality's bands in a file, by its band descriptions."""

from collections.abc import Sequence

from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.band_names import band_of, match_names, possible_bands, words_of


def match_bands(raster: DatasetReader, modality: Modality) -> list[list[int]] | None:
    """For each band of a modality, the one-based numbers of the file's bands with that name.

    None if no band has a description, or if file and modality have a single band in m or index units, which needs no
    name (a `DSM` is elevation).
    """
    names = [d or "" for d in raster.descriptions]
    single = raster.count == len(modality.bands) == 1 and modality.units in ("m", "index")
    if single or not any(words_of(name) for name in names):
        return None
    return [[i + 1 for i in match_names(names, band)] for band in modality.bands]


def find_bands(raster: DatasetReader, modality: Modality) -> tuple[int, ...]:
    """One-based numbers of a modality's bands in a file: by band description, or in file order without descriptions.

    Raises:
        InputError: a band is missing or ambiguous.
    """
    found = match_bands(raster, modality)
    if found is None:
        if raster.count == len(modality.bands):
            return tuple(range(1, raster.count + 1))
        raise InputError(
            f"{raster.name} has {raster.count} unnamed bands, but the network needs {list(modality.bands)}: give "
            "their numbers with --bands=1,2,..."
        )
    names = [d or "" for d in raster.descriptions]
    blank = any(not possible_bands(name) for name in names)
    for band, matches in zip(modality.bands, found, strict=True):
        if len(matches) != 1:
            many = len(matches) > 1
            advice = f"give the numbers of {list(modality.bands)} with --bands=1,2,..."
            if not many and not blank:
                advice = f"give a file that has it, or correct the description of its band ({_edit(raster, band)})"
            raise InputError(
                f"{raster.name} has {'more than one' if many else 'no'} band {band} among {names}: {advice}"
            )
    numbers = tuple(matches[0] for matches in found)
    _check_distinct(numbers, raster, modality)
    return numbers


def check_bands(indexes: tuple[int, ...], raster: DatasetReader, modality: Modality) -> None:
    """Raises `InputError` unless the band numbers of --bands can be a modality's bands in a file.

    Bands must be distinct, exist, and not contradict the file's band names.
    """
    flag = f"--bands={','.join(map(str, indexes))}"
    if len(indexes) != len(modality.bands) or not all(1 <= i <= raster.count for i in indexes):
        raise InputError(
            f"{flag} must give the numbers of {len(modality.bands)} of the {raster.count} bands of {raster.name}, for "
            f"{list(modality.bands)}"
        )
    if len(set(indexes)) < len(indexes):
        raise InputError(
            f"{flag} has a band of {raster.name} twice: give a different one for each of {list(modality.bands)}"
        )
    names = [d or "" for d in raster.descriptions]
    found = match_bands(raster, modality) or [[]] * len(indexes)
    for band, number, matches in zip(modality.bands, indexes, found, strict=True):
        told, meant = possible_bands(names[number - 1]), band_of(band)
        if number not in matches and (matches or (told and meant is not None and meant not in told)):
            instead = f" and band {matches[0]} {names[matches[0] - 1]!r}" if matches else ""
            raise InputError(
                f"{flag} uses band {number} of {raster.name} as {band}, but the file calls it "
                f"{names[number - 1]!r}{instead}: remove --bands, or correct the file's band descriptions "
                f"({_edit(raster, band, number)})"
            )


def bands_note(indexes: Sequence[int], names: Sequence[str | None], modality: Modality) -> str:
    """A note on the file band used for each of a modality's bands: `B02: band 1 (blue), B03: band 2`."""
    parts = []
    for band, number in zip(modality.bands, indexes, strict=True):
        name = names[number - 1] if number <= len(names) else None
        parts.append(f"{band}: band {number}" + (f" ({name})" if name else ""))
    return ", ".join(parts)


def _check_distinct(numbers: tuple[int, ...], raster: DatasetReader, modality: Modality) -> None:
    if len(set(numbers)) < len(numbers):
        raise InputError(
            f"the band names of {raster.name} give the same band for two of {list(modality.bands)}: correct the file's "
            "band descriptions"
        )


def _edit(raster: DatasetReader, band: str, number: int | str = "N") -> str:
    return f"rio edit-info --bidx {number} --description {band} {raster.name}"
