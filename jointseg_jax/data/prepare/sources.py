"""Finds the raw files of a site in its folder."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import shapely

from jointseg_jax.data.prepare.site_dates import IMAGE, LABEL, Dates, completed, date_of, date_of_vectors
from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.clouds import CloudFile, split_band
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.radiometry.product_metadata import metadata_files
from jointseg_jax.rasters.raster_files import files_behind
from jointseg_jax.sources.layer_files import LayerFile, open_layer

# In the dataset's folder: SITE/PRODUCT/MODALITY.vrt, virtual rasters that stack the bands of products.
INPUTS = "inputs"


@dataclasses.dataclass(frozen=True)
class SiteEntry:
    """A site as listed, before the search for its files.

    Attributes:
        name: unique; names the site's folder in the dataset.
        place: sites of one place (the same ground at other dates) go into one split.
        region: for scores by sub-region.
        date: of its image, see `dates.iso_moment`; empty if unknown.
        folder: of its raw files.
        split: given by the table of sites; empty if it gives none.
        ground: polygons in degrees whose rectangle in the site's CRS bounds it; None for all that its files cover.
        dates: given by the table of sites, see `site_dates.completed`.
    """

    name: str
    place: str
    region: str
    date: str
    folder: pathlib.Path
    split: str = ""
    ground: shapely.Geometry | None = None
    dates: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Part:
    """A file of a layer, and its mask of cloud; None without one."""

    path: pathlib.Path
    mask: CloudFile | None = None

    @property
    def name(self) -> str:
        """Of the product whose bands a virtual raster stacks, otherwise of the file."""
        file = remote.bare(self.path)
        return file.parent.name if file.suffix == ".vrt" and file.parts[-4:-3] == (INPUTS,) else file.name


@dataclasses.dataclass(frozen=True)
class SiteSource:
    """The raw files of one site, on this machine or others.

    Attributes:
        entry: the site.
        layers: modality -> one file per date; a missing modality is absent or simulated.
        image: the 1 m image; None at a site for segmentation alone.
        label: raster of labels or land-cover codes, on the image's lattice; None when `vectors` are given.
        vectors: GeoPackage or other vector files to rasterise; a site without label and vectors serves
            super-resolution alone.
        clouds: modality -> one mask of cloud per date, None without one; only of modalities that have masks.
        built_up: footprints or a built-up product, by which it is judged where vectors are missing.
        notes: on optional files that were not found.
        further: modality -> for each date the files that fill the gaps of its first one, in order; only of modalities
            that have some.
        dates: modality, "image" or "label" -> one date per file, None where unknown.
    """

    entry: SiteEntry
    layers: Mapping[str, tuple[pathlib.Path, ...]]
    image: pathlib.Path | None
    label: pathlib.Path | None = None
    vectors: tuple[pathlib.Path, ...] = ()
    clouds: Mapping[str, tuple[CloudFile | None, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    built_up: pathlib.Path | None = None
    further: Mapping[str, tuple[tuple[Part, ...], ...]] = dataclasses.field(default_factory=dict)
    dates: Dates = dataclasses.field(default_factory=dict)

    def parts(self, modality: str, date: int) -> tuple[Part, ...]:
        """The files of a date of a modality: where one has no data, the next counts."""
        mask = next(iter(self.clouds.get(modality, ())[date : date + 1]), None)
        more = next(iter(self.further.get(modality, ())[date : date + 1]), ())
        return (Part(self.layers[modality][date], mask), *more)

    def files(self) -> list[pathlib.Path]:
        """All source files of the site, including sources of virtual rasters and product metadata.

        Raises:
            InputError: a raster cannot be opened.
        """
        parts = [p for name, paths in self.layers.items() for date in range(len(paths)) for p in self.parts(name, date)]
        inputs = [part.path for part in parts]
        masks = {part.mask.path for part in parts if part.mask is not None}
        rasters = [*(p for p in (self.image, self.label) if p is not None), *sorted(masks), *inputs]
        given = [*self.vectors] if self.built_up is None else [*self.vectors, self.built_up]
        found = {raster: files_behind(raster) for raster in rasters}
        behind = [file for raster in rasters for file in found[raster]]
        beside = {file.parent: file for raster in inputs for file in found[raster]}.values()
        metadata = [xml for raster in (*inputs, *beside) for xml in metadata_files(raster)]
        # A shapefile is several files of one name.
        vectors = [f for v in given for f in (v.parent.glob(f"{v.stem}.*") if v.suffix == ".shp" else [v])]
        return [*behind, *sorted(vectors), *dict.fromkeys(metadata)]


@dataclasses.dataclass(frozen=True)
class Names:
    """File names inside a site's folder; each may be a pattern such as `image.*`, or the address of a raster.

    `layers` maps a modality to one file per date: a raster, a product (.SAFE or its archive), or a folder with one file
    per band. Modalities not in `required` may be missing; so may one of image and label, unless the input is simulated
    from the image, and `cloud`, one name per date, perhaps with its band behind a `#`; without any, products are masked
    by their own classification. Empty names are ignored, and so is the label if vectors are named.
    """

    image: str = "image.*"
    label: str = "label.tif"
    vectors: tuple[str, ...] = ()
    cloud: tuple[str, ...] = ()
    built_up: str = ""
    layers: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()


def find(entry: SiteEntry, names: Names, modalities: Sequence[Modality], inputs: pathlib.Path) -> SiteSource:
    """Finds the files of a site.

    Args:
        entry: the site.
        names: of its files.
        modalities: at least those of `names.layers`.
        inputs: folder for virtual rasters that stack the bands of products.

    Raises:
        InputError: a required file or some dates of a modality are missing, a pattern matches several files, or a
            product lacks a band.
    """
    folder, layers, clouds, notes = entry.folder, {}, {}, []
    dates: dict[str, tuple[str, ...]] = {}
    own = [_cloud_file(folder, name) for name in names.cloud]
    for modality in modalities:
        patterns = names.layers.get(modality.name, ())
        found = [_look(folder, pattern) for pattern in patterns]
        if any(found) or (patterns and modality.name in names.required):
            opened = [open_layer(_required(folder, pattern), modality, inputs / entry.name) for pattern in patterns]
            layers[modality.name] = tuple(layer.path for layer in opened)
            dates[modality.name] = tuple(layer.date or date_of(layer.path) for layer in opened)
            if modality.units == "reflectance":
                masks = [next(filter(None, (*own[i : i + 1], layer.mask)), None) for i, layer in enumerate(opened)]
                clouds[modality.name] = tuple(masks)
                notes += _unmasked(masks, names.cloud, opened)
        elif patterns:
            notes.append(f"{modality.name}: absent ({', '.join(patterns)} not found), masked")
    image = _look(folder, names.image) if names.image else None
    wanted = names.vectors or ((names.label,) if names.label else ())
    found_labels = [_look(folder, name) for name in wanted]
    if any(found_labels) or any(pathlib.Path(name).is_absolute() for name in wanted):  # a common file is for all sites
        labels = tuple(_required(folder, name) for name in wanted)
    else:
        labels = ()
    if image is None and (not labels or not names.required):
        _required(folder, names.image or names.label)
    if image is None:
        notes.append(f"no image ({names.image} not found): for segmentation alone")
    if not labels:
        notes.append(f"no label ({', '.join(wanted)} not found): for super-resolution alone")
    if image is not None:
        dates[IMAGE] = (entry.date or date_of(image),)
        entry = dataclasses.replace(entry, date=dates[IMAGE][0])
    if labels:
        dates[LABEL] = (date_of_vectors(labels) if names.vectors else date_of(labels[0]),)
    return SiteSource(
        entry=entry,
        layers=layers,
        image=image,
        label=labels[0] if labels and not names.vectors else None,
        vectors=labels if names.vectors else (),
        clouds=clouds,
        built_up=_required(folder, names.built_up) if names.built_up and names.vectors else None,
        notes=tuple(dict.fromkeys(notes)),
        dates=completed(dates, entry.dates, entry.name),
    )


def _unmasked(masks: Sequence[CloudFile | None], names: Sequence[str], opened: Sequence[LayerFile]) -> list[str]:
    """Notes on the dates whose clouds stay."""
    notes = []
    for date, layer in enumerate(opened):
        if masks[date] is None and (date < len(names) or layer.product):
            why = f"{names[date]} not found" if date < len(names) else f"{layer.product} has no scene classification"
            notes.append(f"clouds not masked ({why})")
    return notes


def _cloud_file(folder: pathlib.Path, name: str) -> CloudFile | None:
    file, band = split_band(name)
    found = _look(folder, file)
    return None if found is None else CloudFile(found, band)


def _look(folder: pathlib.Path, pattern: str) -> pathlib.Path | None:
    if remote.is_remote(pattern):
        return remote.path_of(pattern)
    found = [p for p in matches(folder, pattern) if p.suffix.lower() not in (".xml", ".ovr", ".msk", ".aux")]
    if len(found) > 1:
        raise InputError(f"{folder / pattern} matches {[p.name for p in found]}: keep one of them")
    return found[0] if found else None


def matches(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """The files that match a pattern, relative to a site's folder or absolute; sorted."""
    try:
        path = pathlib.Path(pattern)
        if path.is_absolute():
            folder, pattern = pathlib.Path(path.anchor), str(path.relative_to(path.anchor))
        return sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))  # macOS adds `._image.tif`
    except (ValueError, IndexError, NotImplementedError, OSError) as error:
        raise InputError(
            f"dataset.source has the file name {pattern!r}, which is not valid in {folder} ({error}): give a name or "
            "a pattern such as image.*"
        ) from error


def _required(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    found = _look(folder, pattern)
    if found is None:
        raise InputError(f"{folder / pattern} is missing: put the file there or correct its name in the config")
    return found


def check_layers(sites: Sequence[SiteSource], names: Names) -> None:
    """Raises `InputError` if no site has files for a modality, an image or a label that the config names."""
    if names.image and all(s.image is None for s in sites):
        raise InputError(
            f"no site has an image ({names.image}): correct dataset.source.image, or set it to '' to prepare for "
            "segmentation alone"
        )
    wanted = names.vectors or ((names.label,) if names.label else ())
    if wanted and all(s.label is None and not s.vectors for s in sites):
        raise InputError(
            f"no site has a label ({', '.join(wanted)}): correct dataset.source.label or dataset.source.vectors, or "
            "set both to nothing to prepare for super-resolution alone"
        )
    for modality in names.layers:
        if not any(modality in s.layers for s in sites):
            raise InputError(
                f"no site has files for modality {modality!r} ({', '.join(names.layers[modality])}): correct "
                "dataset.source.layers, or remove it from dataset.inputs"
            )
