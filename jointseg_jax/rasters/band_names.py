"""Which bands of a file are meant: by the names that people's files give them."""

import re

from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality

# Names under which people's files know the visible bands.
_ALIASES = ({"B02", "B2", "BLUE", "B"}, {"B03", "B3", "GREEN", "G"}, {"B04", "B4", "RED", "R"}, {"B08", "B8", "NIR"})


def aliases(band: str) -> set[str]:
    """Names, in capitals, under which a band is known; itself among them."""
    return next((names for names in _ALIASES if band.upper() in names), {band.upper()})


def match_bands(raster: DatasetReader, modality: Modality) -> list[list[int]] | None:
    """For each band of a modality, the one-based numbers of those bands of a file that bear its name.

    Who is called just so goes before who has the name among others, and an alias comes last. None where no band has a
    description, or where there is nothing to confuse: one band of a quantity that is no colour (a `DSM` is elevation).
    """
    given = [(d or "").upper() for d in raster.descriptions]
    words = [set(re.split(r"[^A-Z0-9]+", d)) - {""} for d in given]
    single = raster.count == len(modality.bands) == 1 and modality.units in ("m", "index")
    if single or not any(words):
        return None
    found = []
    for band in modality.bands:
        name, wanted = band.upper(), aliases(band)
        exact = [i for i, d in enumerate(given, start=1) if d == name]
        among = [i for i, own in enumerate(words, start=1) if name in own]
        found.append(exact or among or [i for i, own in enumerate(words, start=1) if own & wanted])
    return found


def find_bands(raster: DatasetReader, modality: Modality) -> tuple[int, ...]:
    """One-based numbers of a modality's bands in a file: by band description, or in order where there are none.

    Raises:
        InputError: a band is missing, or the names do not tell.
    """
    found = match_bands(raster, modality)
    if found is None:
        if raster.count == len(modality.bands):
            return tuple(range(1, raster.count + 1))
        raise InputError(
            f"{raster.name} has {raster.count} unnamed bands, the network needs {list(modality.bands)}: say which "
            "are which with --bands=1,2,..."
        )
    for band, matches in zip(modality.bands, found, strict=True):
        if len(matches) != 1:
            raise InputError(
                f"{raster.name} has {'no' if not matches else 'more than one'} band {band} among "
                f"{list(raster.descriptions)}: "
                f"say which are {list(modality.bands)} with --bands=1,2,..."
            )
    return tuple(matches[0] for matches in found)
