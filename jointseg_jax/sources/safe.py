"""Sentinel-2 products as they are handed out: a .SAFE folder, or the zip archive of one; L1C and L2A."""

import dataclasses
import functools
import pathlib
import zipfile
from collections.abc import Mapping

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import zipped
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.product_metadata import (
    ProductMetadata,
    classification,
    metadata_files,
    read_product_metadata,
)
from jointseg_jax.rasters.virtual.band_stack import Band
from jointseg_jax.sources.band_files import band_in, choose_bands
from jointseg_jax.sources.raster_tags import iso_date, moment_in, percentage


@dataclasses.dataclass(frozen=True)
class Safe:
    """A product, an `Acquisition`.

    Attributes:
        id: its name without `.SAFE`.
        path: the .SAFE folder or the archive, as given.
        files: band with its spacing, if the name has one (`B02_10m`) -> image file, perhaps inside the archive.
    """

    id: str
    path: pathlib.Path
    files: Mapping[str, pathlib.Path]

    @functools.cached_property
    def metadata(self) -> ProductMetadata | None:
        """The product's own XML; None without one, or with several."""
        found = metadata_files(next(iter(self.files.values())))
        return read_product_metadata(found[0]) if len(found) == 1 else None

    @property
    def date(self) -> str:
        """See `Acquisition`; by the XML, or the name."""
        return (moment_in(self.metadata.time) if self.metadata is not None else "") or iso_date(self.id)

    @property
    def cloud(self) -> float | None:
        """See `Acquisition`; by the XML."""
        return None if self.metadata is None else percentage(self.metadata.cloud)

    def bands(self, modality: Modality) -> list[Band]:
        """See `Acquisition`."""
        if modality.units not in ("reflectance", "display") and not modality.optional:
            raise InputError(
                f"product {self.path} has optical bands alone, not those of modality {modality.name!r}, which is "
                "required: to map, give a folder with one raster per modality (s2.tif, "
                f"{modality.name}.tif), or train without {modality.name!r} (in --config.data.inputs); to prepare a "
                f"dataset, name rasters in dataset.source.layers.{modality.name}"
            )
        advice = f"download the product again, or remove modality {modality.name!r}"
        return choose_bands(self.files, modality, f"product {self.path}", advice)

    def evidence(self) -> Mapping[str, str]:
        """See `Acquisition`; the XML is found beside the files, above them."""
        return {}

    def classification(self) -> pathlib.Path | None:
        """See `Acquisition`; L1C has none."""
        return classification(next(iter(self.files.values())), {})


def is_safe(path: pathlib.Path) -> bool:
    """Whether a path is a Sentinel-2 product: a .SAFE folder, or a zip archive of one."""
    if path.is_dir():
        return (path / "GRANULE").is_dir() or (path.suffix.upper() == ".SAFE" and path.name.startswith("S2"))
    return path.suffix.lower() == ".zip" and zipfile.is_zipfile(path) and bool(_roots(path))


def read_safe(path: pathlib.Path) -> Safe:
    """Lists the images of a product.

    Raises:
        InputError: it has none, or is several products or granules.
    """
    if path.is_dir():
        name = path.resolve().name
        images = [p for p in path.glob("GRANULE/*/IMG_DATA/**/*.jp2") if not p.name.startswith(".")]
    else:
        roots = _roots(path)
        if len(roots) > 1:
            raise InputError(f"{path} contains {len(roots)} products ({', '.join(roots)}): pack each one by itself")
        (name,) = roots
        images = [
            zipped.inside(path, member)
            for member in zipped.members(path)
            if pathlib.PurePosixPath(member).match(f"{name}/GRANULE/*/IMG_DATA/*.jp2")
            or pathlib.PurePosixPath(member).match(f"{name}/GRANULE/*/IMG_DATA/*/*.jp2")
        ]
    files: dict[str, pathlib.Path] = {}
    for image in sorted(images):
        told = band_in(image.stem)
        if told is not None and files.setdefault(told[1], image) != image:
            raise InputError(
                f"{path} has several images of band {told[1]} ({files[told[1]].name}, {image.name}): products of more "
                "than one granule are not supported, give each granule's IMG_DATA folder"
            )
    if not files:
        raise InputError(f"{path} is incomplete, it has no GRANULE/*/IMG_DATA/**/*_B02*.jp2: download it again")
    return Safe(pathlib.PurePath(name).stem if name.upper().endswith(".SAFE") else name, path, files)


def _roots(archive: pathlib.Path) -> list[str]:
    """The products in an archive: folders with a sub-folder GRANULE, at any depth."""
    parts = [pathlib.PurePosixPath(member).parts for member in zipped.members(archive)]
    return sorted({"/".join(p[: p.index("GRANULE")]) for p in parts if "GRANULE" in p[1:]})
