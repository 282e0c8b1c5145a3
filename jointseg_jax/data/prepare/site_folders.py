"""Manages the site folders of a dataset: writes new rasters beside those in use, and removes unused ones.

DATASET/sites/NAME/      rasters of a site, and site.json, the record of its sources
        sites/NAME.2/    its newer rasters, while those in sites/NAME are in use
        dataset.json     names the current folders and index; replacing it is the swap
"""

import hashlib
import itertools
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import DESCRIPTION, INDEX, SITES, Site
from jointseg_jax.data.site_record import RECORD
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats, locks, typed
from jointseg_jax.storage.files import atomic_path, partial

_OTHER_INDEX = "index.2.parquet"


class SiteFolders:
    """The site folders of a dataset; for use by the process that holds the dataset's lock, and by its workers.

    Workers make different sites; only the holder of the lock publishes.
    """

    def __init__(self, root: pathlib.Path):
        """Reads and writes nothing yet; `root` is the folder of the dataset."""
        self._root, self._sites = root, root / SITES

    def find(self, name: str, fingerprint: str) -> Site | None:
        """Finds the intact site prepared from the same files with the same settings; None without one."""
        for folder in self._folders(name):
            site = site_record.kept(folder, fingerprint)
            if site is not None:
                return site
        return None

    def make(
        self,
        name: str,
        fingerprint: str,
        write: Callable[[pathlib.Path, str], Site],
        divide: Callable[[Site, pathlib.Path], Site],
    ) -> Site:
        """Prepares a site in a new folder, which appears once it is complete.

        Intact rasters made from the same files with the same settings are linked into the new folder, not written
        again; then only the raster of the splits is new.

        Args:
            name: of the site.
            fingerprint: of its sources, settings and splits.
            write: writes its rasters, without that of the splits, into the given folder, and returns the site with
                paths under the second argument, the final folder relative to the dataset.
            divide: adds the raster of the splits, and returns the site with all its digests.

        Raises:
            InputError: a folder of that name was not written by this program; or raised by `write`.
        """
        target = self._free(name)
        building = partial(self._sites / name)
        try:
            at = f"{SITES}/{target.name}"
            site = divide(self._link(name, fingerprint, building, at) or write(building, at), building)
            site_record.keep(building, fingerprint, site)
            building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return site

    def _link(self, name: str, fingerprint: str, building: pathlib.Path, at: str) -> Site | None:
        """Links intact rasters that differ in the splits at most; None without any."""
        for folder in self._folders(name):
            site = site_record.kept_rasters(folder, fingerprint)
            if site is None:
                continue
            split = pathlib.PurePosixPath(site.split).name
            building.mkdir(parents=True)
            for path in site.paths:
                if (raster := pathlib.PurePosixPath(path).name) != split:
                    _link_or_copy(folder / raster, building / raster)
            files = {raster: digest for raster, digest in site.files.items() if raster != split}
            return site.at(at).replace(files=files)
        return None

    def publish(self, description: Mapping[str, Any], sites: Sequence[Site], index: pd.DataFrame) -> bool:
        """Replaces the dataset by these sites and this index; processes that read the former one can continue.

        Args:
            description: of the dataset, without `sites` and `index`.
            sites: in order.
            index: of the patches.

        Returns:
            Whether former rasters were kept because a process reads them.
        """
        table = index.to_parquet(index=False)
        used = self._index_in_use()
        unchanged = used and (self._root / used).is_file() and (self._root / used).read_bytes() == table
        self._swap(description, sites, table, used if unchanged else _OTHER_INDEX if used == INDEX else INDEX)
        with locks.unread(self._sites) as free:
            if not free:
                return True
            self._remove_former(sites)
            settled = [self._settle(site) for site in sites]
            if settled != list(sites) or self._index_in_use() != INDEX:
                self._swap(description, settled, table, INDEX)
                self._remove_former(settled)
            (self._root / _OTHER_INDEX).unlink(missing_ok=True)
        return False

    def _swap(self, description: Mapping[str, Any], sites: Sequence[Site], table: bytes, name: str) -> None:
        with atomic_path(self._root / name) as temporary:
            temporary.write_bytes(table)
        about = {"index": name, "index_sha256": hashlib.sha256(table).hexdigest()}
        written = {**description, **about, "sites": typed.plain(sites)}
        formats.write_record(self._root / DESCRIPTION, written, formats.DATASET)

    def _index_in_use(self) -> str:
        try:
            return str(formats.read_record(self._root / DESCRIPTION, formats.DATASET).get("index", INDEX))
        except (FileNotFoundError, InputError):
            return ""

    def _settle(self, site: Site) -> Site:
        """Moves a site to its plain name if that is free, by hard links: a complete folder exists at all times."""
        folder, home = self._root / site.folder, self._sites / site.name
        if folder == home or home.exists():
            return site
        fingerprint, building = site_record.fingerprint_of(folder), partial(home)
        try:
            building.mkdir()
            for path in site.paths:
                os.link(self._root / path, building / pathlib.PurePosixPath(path).name)
            moved = site.at(f"{SITES}/{site.name}")
            site_record.keep(building, fingerprint, moved)
            building.rename(home)
            return moved
        except OSError:  # without hard links the site stays in its folder
            return site
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _remove_former(self, sites: Sequence[Site]) -> None:
        """Removes other folders of these sites; keeps files that this program did not write."""
        for site in sites:
            for folder in self._folders(site.name):
                if folder != self._root / site.folder:
                    _remove(folder, site.paths)

    def _folders(self, name: str) -> list[pathlib.Path]:
        """Complete folders of a site."""
        pattern = re.compile(re.escape(name) + r"(\.\d+)?")
        inside = sorted(self._sites.iterdir()) if self._sites.is_dir() else []
        return [f for f in inside if pattern.fullmatch(f.name) and (f / RECORD).is_file() and _is_of(f, name)]

    def _free(self, name: str) -> pathlib.Path:
        home = self._sites / name
        if home.exists() and not (home / RECORD).is_file():
            raise InputError(
                f"{home} was not written by this program, but the prepared rasters of site {name!r} go there: move it "
                "away, or choose another dataset.path"
            )
        numbered = (self._sites / (name if n == 1 else f"{name}.{n}") for n in itertools.count(1))
        return next(folder for folder in numbered if not folder.exists())


def _link_or_copy(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)


def _site(folder: pathlib.Path) -> Site | None:
    """The site in a folder; None if its record is damaged."""
    try:
        return site_record.read(folder).site
    except (OSError, InputError):
        return None


def _is_of(folder: pathlib.Path, name: str) -> bool:
    """Whether a folder belongs to this site: a site may itself be named `a.2`."""
    site = _site(folder)
    return folder.name == name if site is None else site.name == name


def _remove(folder: pathlib.Path, usual: Iterable[str]) -> None:
    """Removes this program's files from a site's folder, and GDAL's statistics files beside them.

    Args:
        folder: of former rasters.
        usual: their paths, used if the folder's record is damaged.
    """
    site = _site(folder)
    for path in usual if site is None else site.paths:
        name = pathlib.PurePosixPath(path).name
        (folder / name).unlink(missing_ok=True)
        (folder / f"{name}.aux.xml").unlink(missing_ok=True)
    if [path.name for path in folder.iterdir()] == [RECORD]:  # with other files left, it still marks the folder as ours
        (folder / RECORD).unlink()
        folder.rmdir()
