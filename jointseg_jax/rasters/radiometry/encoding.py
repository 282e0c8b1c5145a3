"""Decides how the numbers in a user's file are decoded, for preparation and prediction alike."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry import offsets
from jointseg_jax.rasters.radiometry.product_metadata import product_metadata
from jointseg_jax.rasters.radiometry.product_place import Ground, ground_of
from jointseg_jax.rasters.radiometry.sample import Sample
from jointseg_jax.rasters.raster_files import dataset_lattice, name_of


@dataclasses.dataclass(frozen=True)
class Stated:
    """What the header of a raster states about its numbers.

    Attributes:
        path: of the file; for a virtual raster that this program wrote, of its first source.
        dtype: of its first band in use.
        nodata: the nodata value of all bands in use, or None.
        scale, offset: GDAL's (`value = stored * scale + offset`), the same for all bands in use; 1 and 0 where unset.
        tags: its metadata.
        ground: its corners in degrees; None if its CRS is unknown.
    """

    path: str
    dtype: str
    nodata: float | None
    scale: float
    offset: float
    tags: Mapping[str, str]
    ground: Ground | None = None


def stated(raster: DatasetReader, indexes: tuple[int, ...]) -> Stated:
    """Reads what a raster's header states about some bands (one-based).

    Raises:
        InputError: bands differ in scale, offset or nodata value, or scale or offset is not finite, or scale is 0.
    """
    name = name_of(raster)
    for what, values in (("scale", raster.scales), ("offset", raster.offsets)):
        if not all(np.isfinite(values[i - 1]) for i in indexes):
            raise InputError(
                f"{name} has the {what} {values[indexes[0] - 1]:g} in its header, which is not a finite number: "
                f"correct it (gdal_edit.py -{what} ...)"
            )
    pairs = {(float(raster.scales[i - 1]), float(raster.offsets[i - 1])) for i in indexes}
    if len(pairs) > 1:
        raise InputError(
            f"{name} has different scales or offsets in its bands ({sorted(pairs)}): store bands {list(indexes)} with "
            "one scale and offset (gdal_edit.py -scale S -offset O)"
        )
    scale, offset = pairs.pop()
    if scale == 0:
        raise InputError(
            f"{name} has the scale 0 in its header, which makes all values equal: correct it (gdal_edit.py -scale ...)"
        )
    absent = [raster.nodatavals[i - 1] for i in indexes]
    marks = ["none" if v is None or np.isnan(v) else f"{v:.17g}" for v in absent]  # NaN always counts as absent
    if len(set(marks)) > 1:
        raise InputError(
            f"{name} has different nodata values in bands {list(indexes)} ({', '.join(marks)}): "
            "store them with one nodata value (gdalwarp -srcnodata OLD -dstnodata NEW)"
        )
    return Stated(
        name, raster.dtypes[indexes[0] - 1], absent[0], scale, offset, raster.tags(), ground_of(dataset_lattice(raster))
    )


def interpret(modality: Modality, file: Stated, sample: Sample) -> tuple[Modality, str]:
    """Decides how the numbers of a file are decoded as `modality`, and why.

    8-bit numbers are always a display stretch. Integer reflectance is Sentinel-2's, and `offsets.decide_offset` decides
    its offset. All other quantities use the file's own scale.

    Args:
        modality: the expected modality.
        file: the file's header.
        sample: of its stored numbers, to check the offset.

    Returns:
        The modality with the file's dtype, nodata, scale and offset, and a note for the product or the dataset.

    Raises:
        InputError: the numbers contradict the modality, or the evidence is not sufficient.
    """
    base = dataclasses.replace(modality, dtype=file.dtype, nodata=file.nodata)
    if modality.units == "display":
        if file.dtype != "uint8":
            raise InputError(
                f"{file.path} has {file.dtype} numbers, but modality {modality.name!r} is an 8-bit display stretch: "
                "give a stretched uint8 image"
            )
        return as_display(base)
    own = dataclasses.replace(base, scale=file.scale, offset=file.offset / file.scale)
    is_scaled = (file.scale, file.offset) != (1.0, 0.0)
    said = f"scale {file.scale:g} and offset {file.offset:g} from the file"
    if modality.units != "reflectance":
        return own, said if is_scaled else f"{file.dtype} numbers taken as {modality.units}"
    if np.issubdtype(np.dtype(file.dtype), np.floating):
        offsets.check_floats(own.decode(sample.inner(own)), file.path)
        return own, said if is_scaled else "floating-point numbers taken as reflectance"
    if file.dtype == "uint8":
        raise InputError(
            f"{file.path} has 8-bit numbers, but modality {modality.name!r} is reflectance: give the product's "
            "digital numbers"
        )
    product, notes = product_metadata(file.path, file.tags, file.ground)
    # Messages name the source file, which a user can tag; our own virtual rasters are rewritten.
    decision = offsets.decide_offset(
        file.tags,
        offsets.look(sample.inner(base)),
        file.path,
        product=product,
        file_offset=file.offset / file.scale if is_scaled else None,
        notes=notes,
    )
    scale = 1 / offsets.QUANTIFICATION if file.scale == 1.0 else file.scale
    note = f"offset {decision.offset:g} ({'; '.join([decision.evidence, *notes])})"
    return dataclasses.replace(base, scale=scale, offset=decision.offset), note


def as_display(base: Modality) -> tuple[Modality, str]:
    """Decodes 8-bit numbers as a display stretch; only the file's own mask marks absent pixels."""
    stretch = dataclasses.replace(base, units="display", nodata=None, scale=1 / 255, offset=0.0)
    return stretch, "8-bit display stretch, 1/255"
