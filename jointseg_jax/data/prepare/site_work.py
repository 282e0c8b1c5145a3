"""Prepares one site, from plan to folder; every executor runs this, in any process."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence

from odc.geo.geobox import GeoBox

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import DESCRIPTION, INDEX, SITES, Site
from jointseg_jax.data.prepare import ground
from jointseg_jax.data.prepare.ground import Ground
from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.site.rasters import prepare_site, write_split
from jointseg_jax.data.prepare.site_folders import SiteFolders
from jointseg_jax.data.prepare.sources import SiteEntry, SiteSource
from jointseg_jax.errors import InputError, StorageError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.stamps import stamp
from jointseg_jax.storage import folders

_MAKING = 3  # raise it when the same files and settings yield other rasters; sites are then made again
RUN = ".preparation"  # in the dataset's folder while sites are missing: see `jobs.run_folder`
SCRATCH = f"{RUN}/scratch"
WRITTEN = frozenset({DESCRIPTION, INDEX, SITES})  # in the dataset's folder, beside which raw data may lie


@dataclasses.dataclass(frozen=True)
class SitePlan:
    """A site with its files, which match by their headers.

    Attributes:
        source: its files.
        lattice: its 10 m lattice.
        ground: its parts by split.
    """

    source: SiteSource
    lattice: GeoBox
    ground: Ground = ()

    @property
    def km2(self) -> float:
        """Its ground."""
        return float(self.lattice.shape[0] * self.lattice.shape[1]) / 1e4


@dataclasses.dataclass(frozen=True)
class SiteWork:
    """The `Work` of a preparation: prepares the site of the given name.

    Attributes:
        root: of the dataset.
        recipe: of the preparation.
        entries: all sites.
        plans: by name, of the sites whose headers match.
        refused: by name, why the other sites cannot be prepared.
    """

    root: pathlib.Path
    recipe: Recipe
    entries: Sequence[SiteEntry]
    plans: Mapping[str, SitePlan]
    refused: Mapping[str, InputError]

    def find(self, name: str) -> Site | None:
        """The intact site prepared from the same files with the same settings; None if the site is to be made."""
        try:
            return SiteFolders(self.root).find(name, self._fingerprint(name)) if name in self.plans else None
        except InputError:  # the call reports it
            return None

    def __call__(self, name: str) -> Site | InputError:
        """Makes a site; returns the error of a site that cannot be prepared: trying again would not help."""
        if name in self.refused:
            return self.refused[name]
        try:
            fingerprint = self._fingerprint(name)
            return SiteFolders(self.root).find(name, fingerprint) or self._make(name, fingerprint)
        except StorageError:  # it would stop the other sites too
            raise
        except InputError as error:
            return error

    def _make(self, name: str, fingerprint: str) -> Site:
        plan, folders = self.plans[name], SiteFolders(self.root)

        def write(folder: pathlib.Path, at: str) -> Site:
            return prepare_site(plan.source, plan.lattice, self.recipe, folder, at, self.root / SCRATCH)

        def divide(site: Site, folder: pathlib.Path) -> Site:
            return write_split(site, plan.lattice, ground.codes(plan.ground, plan.lattice), folder)

        return folders.make(name, fingerprint, write, divide)

    def _fingerprint(self, name: str) -> str:
        """Two digests: one changes with the site's files or settings, the other with the ground of its splits.

        Raises:
            InputError: a raster cannot be opened, or a file lies among those of the dataset.
        """
        plan = self.plans[name]
        sources = plan.source.files()
        folders.check_apart(self.root, sources, WRITTEN)
        files = [(str(remote.bare(path)), stamp(path)) for path in sources]  # a virtual raster's may not be a file
        entry = plan.source.entry
        about = [entry.region, entry.date]
        about += [entry.ground.wkt] if entry.ground is not None else []
        about += [json.dumps(plan.source.dates, sort_keys=True)]
        sensor = self.recipe.simulate
        about += [sensor.kernel] if sensor is not None else []  # the repr leaves it out
        rasters = hashlib.sha256(json.dumps([_MAKING, repr(self.recipe), *about, files]).encode()).hexdigest()
        return site_record.fingerprint(rasters, ground.digest(plan.ground))
