"""Lists the sites of a table of site folders, or of a folder of 1 m scenes."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from jointseg_jax.data.prepare import splits
from jointseg_jax.data.prepare.site_names import check_names
from jointseg_jax.data.prepare.sources import SiteEntry, matches
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.sources.dates import DATE_FORMS, iso_moment

TABLE = "sites.csv"
_DATED = "date_"  # begins the columns with dates of a modality or of the label
T = TypeVar("T")


def from_table(root: pathlib.Path, only: Sequence[str] = ()) -> list[SiteEntry]:
    """Lists the sites of `root/sites.csv`: columns site, region, date, folder; place, if dates share ground; split.

    `date` is that of the image. `date_label` and `date_<modality>` hold other dates, several separated by spaces.

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
        date = _date(row["date"], name, path)
        others = {
            column.removeprefix(_DATED): tuple(_date(text, name, path) for text in cell.split())
            for column, cell in row.items()
            if column.startswith(_DATED) and cell
        }
        split = row.get("split", "")
        check_split(split, name, path)
        place, folder = row.get("place") or name, root / row["folder"]
        sites.append(SiteEntry(name, place, row["region"], date, folder, split, dates=others))
    if not sites:
        raise InputError(f"{path} lists no sites: add a line for each")
    return sites


def _date(text: str, site: str, path: pathlib.Path) -> str:
    date = iso_moment(text)
    if text and not date:
        raise InputError(
            f"{path} gives site {site!r} the date {text!r}, which is not an ISO date: write it like {DATE_FORMS}, or "
            "leave it empty if it is unknown"
        )
    return date


def check_split(split: str, name: str, path: pathlib.Path) -> None:
    """Raises `InputError` unless a site's split, as listed, is one or empty."""
    if split and split not in splits.SPLITS:
        raise InputError(
            f"{path} puts site {name!r} into the split {split!r}: use {', '.join(splits.SPLITS)}, or leave it empty"
        )


def from_scenes(root: pathlib.Path, image: str, only: Sequence[str] = ()) -> list[SiteEntry]:
    """Lists one site per sub-folder of `root` with a file named `image`; the region is the scene's name.

    Raises:
        InputError: there is no such folder, a name cannot be used, or `only` names an unknown scene.
    """
    folders = sorted(d for d in root.iterdir() if d.is_dir() and not d.name.startswith(".") and matches(d, image))
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
