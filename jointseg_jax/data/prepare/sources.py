"""Finds the raw files of sites, from a table of site folders or a folder of 1 m scenes."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from jointseg_jax.data.prepare import splits
from jointseg_jax.data.prepare.site_names import check_names
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry.product_metadata import metadata_files
from jointseg_jax.rasters.raster_files import files_behind
from jointseg_jax.sources.dates import DATE_FORMS, iso_moment

TABLE = "sites.csv"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class SiteEntry:
    """A site as listed, before the search for its files.

    Attributes:
        name: unique; names the site's folder in the dataset.
        place: sites of one place (the same ground at other dates) go into one split.
        region: for scores by sub-region.
        date: see `dates.iso_moment`; empty if unknown.
        folder: of its raw files.
        split: given by the table of sites; empty if it gives none.
    """

    name: str
    place: str
    region: str
    date: str
    folder: pathlib.Path
    split: str = ""


@dataclasses.dataclass(frozen=True)
class SiteSource:
    """The raw files of one site.

    Attributes:
        entry: the site.
        layers: modality -> one file per date; a missing modality is absent or simulated.
        image: the 1 m image; None at a site for segmentation alone.
        label: raster of labels or land-cover codes, on the image's lattice; None when `vectors` are given.
        vectors: GeoPackage or other vector files to rasterise; a site without label and vectors serves
            super-resolution alone.
        cloud: Sentinel-2 scene classification (SCL).
        built_up: footprints or a built-up product, by which it is judged where vectors are missing.
        notes: on optional files that were not found.
    """

    entry: SiteEntry
    layers: Mapping[str, tuple[pathlib.Path, ...]]
    image: pathlib.Path | None
    label: pathlib.Path | None = None
    vectors: tuple[pathlib.Path, ...] = ()
    cloud: pathlib.Path | None = None
    notes: tuple[str, ...] = ()
    built_up: pathlib.Path | None = None

    def files(self) -> list[pathlib.Path]:
        """All source files of the site, including sources of virtual rasters and product metadata.

        Raises:
            InputError: a raster cannot be opened.
        """
        inputs = [path for paths in self.layers.values() for path in paths]
        rasters = [p for p in (self.image, self.label, self.cloud) if p is not None] + inputs
        given = [*self.vectors] if self.built_up is None else [*self.vectors, self.built_up]
        behind = [file for raster in rasters for file in files_behind(raster)]
        metadata = [xml for raster in inputs for xml in metadata_files(raster)]
        # A shapefile is several files of one name.
        vectors = [f for v in given for f in (v.parent.glob(f"{v.stem}.*") if v.suffix == ".shp" else [v])]
        return [*behind, *sorted(vectors), *dict.fromkeys(metadata)]


@dataclasses.dataclass(frozen=True)
class Names:
    """File names inside a site's folder; each may be a pattern such as `image.*`.

    `layers` maps a modality to one file per date. Modalities not in `required` may be missing; so may `cloud`, and
    one of image and label, unless the input is simulated from the image. Empty names are ignored, and so is the label
    if vectors are named.
    """

    image: str = "image.*"
    label: str = "label.tif"
    vectors: tuple[str, ...] = ()
    cloud: str = ""
    built_up: str = ""
    layers: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()


def from_table(root: pathlib.Path, only: Sequence[str] = ()) -> list[SiteEntry]:
    """Lists the sites of `root/sites.csv`: columns site, region, date, folder; place, if dates share ground; split.

    Raises:
        InputError: a missing or unreadable table, a repeated or unusable site name, an invalid date or split, no site,
            or `only` names an unlisted site.
    """
    path = root / TABLE
    if not path.exists():
        raise InputError(
            f"{path} is missing: it lists the sites, one row each, with the columns site, region, date and folder"
        )
    table = read_table(path, ("site", "region", "date", "folder"))
    check_names([row["site"] for row in table], path)
    sites = []
    for row in _chosen(table, only, path, lambda row: row["site"]):
        name = row["site"]
        date = iso_moment(row["date"])
        if row["date"] and not date:
            raise InputError(
                f"{path} gives site {name!r} the date {row['date']!r}, which is not an ISO date: write it like "
                f"{DATE_FORMS}, or leave it empty if it is unknown"
            )
        split = row.get("split", "")
        if split and split not in splits.SPLITS:
            raise InputError(
                f"{path} puts site {name!r} into the split {split!r}: use {', '.join(splits.SPLITS)}, or leave it empty"
            )
        sites.append(SiteEntry(name, row.get("place") or name, row["region"], date, root / row["folder"], split))
    if not sites:
        raise InputError(f"{path} lists no sites: add a line for each")
    return sites


def from_scenes(root: pathlib.Path, image: str, only: Sequence[str] = ()) -> list[SiteEntry]:
    """Lists one site per sub-folder of `root` with a file named `image`; the region is the scene's name.

    Raises:
        InputError: there is no such folder, a name cannot be used, or `only` names an unknown scene.
    """
    folders = sorted(d for d in root.iterdir() if d.is_dir() and not d.name.startswith(".") and _matches(d, image))
    if not folders:
        raise InputError(
            f"{root} has no folder with a file {image}: put each scene into a folder of its own, or correct "
            "dataset.source.image"
        )
    check_names([d.name for d in folders], root)
    chosen = _chosen(folders, only, root, lambda folder: folder.name)
    return [SiteEntry(d.name, d.name, d.name, "", d) for d in chosen]


def _chosen(sites: Sequence[T], only: Sequence[str], where: pathlib.Path, name: Callable[[T], str]) -> list[T]:
    """The sites that `dataset.source.only` names; all if it is empty."""
    known = [name(site) for site in sites]
    unknown = [wanted for wanted in only if wanted not in known]
    if unknown:
        raise InputError(
            f"dataset.source.only names {unknown}, which {where} does not list: use some of {', '.join(known[:20])}"
            + (" and more" if len(known) > 20 else "")
        )
    return [site for site in sites if not only or name(site) in only]


def find(entry: SiteEntry, names: Names) -> SiteSource:
    """Finds the files of a site.

    Raises:
        InputError: a required file or some dates of a modality are missing, or a pattern matches several files.
    """
    folder, layers, notes = entry.folder, {}, []
    for modality, patterns in names.layers.items():
        found = [_look(folder, pattern) for pattern in patterns]
        if any(found) or modality in names.required:
            layers[modality] = tuple(_required(folder, pattern) for pattern in patterns)
        else:
            notes.append(f"{modality}: absent ({', '.join(patterns)} not found), masked")
    cloud = _look(folder, names.cloud) if names.cloud else None
    if names.cloud and cloud is None:
        notes.append(f"clouds not masked ({names.cloud} not found)")
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
    return SiteSource(
        entry=entry,
        layers=layers,
        image=image,
        label=labels[0] if labels and not names.vectors else None,
        vectors=labels if names.vectors else (),
        cloud=cloud,
        built_up=_required(folder, names.built_up) if names.built_up and names.vectors else None,
        notes=tuple(notes),
    )


def _look(folder: pathlib.Path, pattern: str) -> pathlib.Path | None:
    found = [p for p in _matches(folder, pattern) if p.suffix.lower() not in (".xml", ".ovr", ".msk", ".aux")]
    if len(found) > 1:
        raise InputError(f"{folder / pattern} matches {[p.name for p in found]}: keep one of them")
    return found[0] if found else None


def _matches(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
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
