"""Where the raw rasters of a site lie: a table of site folders, or a folder of 1 m scenes."""

import dataclasses
import pathlib
from collections.abc import Sequence

import pandas as pd

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality

TABLE = "sites.csv"


@dataclasses.dataclass(frozen=True)
class SiteSource:
    """The raw files of one site.

    Attributes:
        name: unique; names the site's folder in the dataset.
        place: sites of one place (the same ground at other dates) go into one split.
        region: for scores by sub-region.
        date: ISO date or year, as text.
        layers: modality -> one file per date; a modality that is missing here is absent or simulated.
        image: the 1 m image.
        label: raster of labels or land-cover codes, on the image's lattice; or None when `vectors` are given.
        vectors: GeoPackage or other vector files to rasterise.
        cloud: Sentinel-2 scene classification (SCL).
    """

    name: str
    place: str
    region: str
    date: str
    layers: dict[str, tuple[pathlib.Path, ...]]
    image: pathlib.Path
    label: pathlib.Path | None = None
    vectors: tuple[pathlib.Path, ...] = ()
    cloud: pathlib.Path | None = None

    def files(self) -> list[pathlib.Path]:
        """All files of the site."""
        single = [p for p in (self.image, self.label, self.cloud) if p is not None]
        return [*single, *self.vectors, *(p for paths in self.layers.values() for p in paths)]


@dataclasses.dataclass(frozen=True)
class Names:
    """File names inside a site's folder; each may be a pattern such as `image.*`.

    `layers` maps a modality to one file per date. Empty names are absent.
    """

    image: str = "image.*"
    label: str = "label.tif"
    vectors: tuple[str, ...] = ()
    cloud: str = ""
    layers: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def from_table(root: pathlib.Path, names: Names, only: Sequence[str] = ()) -> list[SiteSource]:
    """Sites listed in `root/sites.csv`: columns site, region, date, folder and, where dates share ground, place.

    Raises:
        InputError: no table, a missing column, a site listed twice, or a missing file.
    """
    path = root / TABLE
    if not path.exists():
        raise InputError(
            f"{path} is missing: it lists the sites, one row each, with the columns site, region, date and folder"
        )
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    absent = {"site", "region", "date", "folder"} - set(table.columns)
    if absent:
        raise InputError(f"{path} lacks the columns {sorted(absent)}; it has {list(table.columns)}")
    if table["site"].duplicated().any():
        raise InputError(f"{path} lists site {table['site'][table['site'].duplicated()].iloc[0]!r} twice")
    sites = []
    for row in table.to_dict("records"):
        if only and row["site"] not in only:
            continue
        place = row.get("place") or row["site"]
        sites.append(_site(root / row["folder"], names, row["site"], place, row["region"], row["date"]))
    if not sites:
        raise InputError(f"{path} lists no site" + (f" among {list(only)}" if only else ""))
    return sites


def from_scenes(root: pathlib.Path, names: Names, only: Sequence[str] = ()) -> list[SiteSource]:
    """One site per sub-folder of `root` that holds an image; the region is the scene's own name.

    Raises:
        InputError: the folder is missing or holds no scene, or a scene lacks its label.
    """
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder: point root=DIR at the folder that holds <scene>/image.tif and "
            f"<scene>/{names.label}"
        )
    folders = sorted(d for d in root.iterdir() if d.is_dir() and list(d.glob(names.image)))
    if only:
        folders = [d for d in folders if d.name in only]
    if not folders:
        raise InputError(
            f"{root} holds no <scene>/{names.image}" + (f" among {list(only)}" if only else "") + ": nothing to prepare"
        )
    return [_site(d, names, d.name, d.name, d.name, "") for d in folders]


def _site(folder: pathlib.Path, names: Names, name: str, place: str, region: str, date: str) -> SiteSource:
    return SiteSource(
        name=name,
        place=place,
        region=region,
        date=date,
        layers={m: tuple(_find(folder, pattern) for pattern in patterns) for m, patterns in names.layers.items()},
        image=_find(folder, names.image),
        label=_find(folder, names.label) if names.label else None,
        vectors=tuple(_find(folder, v) for v in names.vectors),
        cloud=_find(folder, names.cloud) if names.cloud else None,
    )


def _find(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    found = sorted(p for p in folder.glob(pattern) if p.suffix.lower() not in (".xml", ".ovr", ".msk", ".aux"))
    if not found:
        raise InputError(f"{folder / pattern} is missing: put the file there or correct its name in the config")
    if len(found) > 1:
        raise InputError(f"{folder / pattern} matches {[p.name for p in found]}: keep one")
    return found[0]


def group_by_place(sites: Sequence[SiteSource]) -> dict[str, list[SiteSource]]:
    """Sites by the ground they share."""
    places: dict[str, list[SiteSource]] = {}
    for site in sites:
        places.setdefault(site.place, []).append(site)
    return places


def check_layers(sites: Sequence[SiteSource], modalities: Sequence[Modality], simulated: str) -> None:
    """Raises `InputError` when a modality has files nowhere and is not simulated."""
    for modality in modalities:
        if modality.name != simulated and not any(modality.name in s.layers for s in sites):
            raise InputError(
                f"no site has files for modality {modality.name!r}: name them in dataset.source.layers or drop it "
                "from dataset.inputs"
            )
