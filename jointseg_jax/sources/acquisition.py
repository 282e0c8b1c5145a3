"""What every source of scenes offers: the bands of one acquisition, as one virtual raster per modality."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.product_metadata import CLASSES_TAG, SOURCE_TAG
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.virtual.band_stack import Band, stack_beside
from jointseg_jax.storage.files import file_name


class Acquisition(Protocol):
    """One date of one place: a product as .SAFE, a group of band files, a STAC item."""

    @property
    def id(self) -> str:
        """Names it among others."""

    @property
    def date(self) -> str:
        """See `dates.iso_moment`; empty if unknown."""

    @property
    def cloud(self) -> float | None:
        """Per cent of the whole scene; None if unknown."""

    def bands(self, modality: Modality) -> list[Band]:
        """The files of a modality's bands, all on one lattice; none if it is optional and missing.

        Raises:
            InputError: a band is missing or ambiguous.
        """

    def evidence(self) -> Mapping[str, str]:
        """Tags that tell how the numbers are to be read, beyond those of the files and the product's own XML."""

    def classification(self) -> pathlib.Path | None:
        """The scene classification (SCL) of the same acquisition; None without one."""


def stack(found: Acquisition, modalities: Sequence[Modality], folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Writes virtual rasters to the acquisition's sub-folder, one per modality; none for a missing optional modality.

    Their tags are those of the first band's file, the evidence, and the place of the first file and of the
    classification, beside which the product's XML is looked for.

    Raises:
        InputError: a band is missing, ambiguous, or lies on another lattice.
    """
    files: dict[str, list[pathlib.Path]] = {}
    for modality in modalities:
        bands = found.bands(modality)
        files[modality.name] = []
        if bands:
            first, classes = bands[0].path, found.classification()
            with open_raster(first) as raster:
                tags = {k: v for k, v in raster.tags().items() if k != "AREA_OR_POINT"}
            tags |= {**found.evidence(), SOURCE_TAG: str(first.absolute())}
            if classes is not None and modality.units in ("reflectance", "display"):
                tags[CLASSES_TAG] = str(classes.absolute())
            target = folder / file_name(found.id) / f"{modality.name}.vrt"
            files[modality.name] = [stack_beside(target, bands, tags)]
    return files
