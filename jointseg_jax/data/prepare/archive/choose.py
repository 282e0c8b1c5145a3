"""Chooses the files of sites from an archive: products and rasters that cover a site, near the date of its image."""

import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Mapping, Sequence

from jointseg_jax.data.prepare.archive.candidate import (
    Candidate,
    Judged,
    covered,
    judge,
    without_reprocessed,
)
from jointseg_jax.data.prepare.archive.mosaics import Mosaic, mosaics, same_ground
from jointseg_jax.data.prepare.site_dates import IMAGE, LABEL, completed, date_of_vectors
from jointseg_jax.data.prepare.sources import Part, SiteEntry, SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox
from jointseg_jax.rasters.clouds import ClearRule, CloudFile
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.metric import check_placed
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.remote import address, bare, is_remote, path_of
from jointseg_jax.sources.acquisition import Acquisition
from jointseg_jax.sources.dates import days_apart
from jointseg_jax.sources.layer_files import acquisition_of, stacked
from jointseg_jax.sources.raster_tags import date_and_cloud
from jointseg_jax.sources.stac import StacScene
from jointseg_jax.sources.stac_item import Item
from jointseg_jax.sources.stac_items import Catalogue, is_stac, open_catalogue
from jointseg_jax.sources.wanted import Wanted, around
from jointseg_jax.storage.files import write_text

TABLE = "sources.csv"  # in the dataset
_COLUMNS = ("site", "layer", "file", "date", "days", "seen_percent", "cloud_percent", "chosen", "part", "reason")


class Archive:
    """Finds the files of sites; `table` tells what was chosen and why."""

    def __init__(
        self,
        root: pathlib.Path,
        layers: Mapping[str, Sequence[str]],
        modalities: Sequence[Modality],
        rule: ClearRule,
        inputs: pathlib.Path,
        *,
        image: str,
        label: str,
        vectors: Sequence[str],
        built_up: str,
        days: int,
    ):
        """Prepares the search; nothing is read.

        Args:
            root: folder of the archive; all patterns start there.
            layers: modality -> patterns of the files that may serve; STAC files and addresses count by their items.
            modalities: of the dataset, the first with the image's bands; of several dates, the best so many are chosen.
            rule: what is clear.
            inputs: folder for virtual rasters.
            image, label: patterns of 1 m images and of labels, of which one per site is chosen; none if empty.
            vectors: vector files that make the labels of all sites, instead.
            built_up: see `SiteSource`, for all sites; none if empty.
            days: that an acquisition may lie before or after the image.
        """
        self._root, self._layers, self._modalities = root, layers, modalities
        self._rule, self._inputs, self._days = rule, inputs, days
        self._image, self._label, self._vectors = image, label, vectors
        self._built_up = root / built_up if built_up and vectors else None
        self._rows: list[dict[str, object]] = []
        self._opened: dict[tuple[pathlib.Path, str, str | None], Candidate | None] = {}

    def find(self, entry: SiteEntry) -> SiteSource:
        """The files of a site.

        Raises:
            InputError: no image, label or acquisition serves the site.
        """
        assert entry.ground is not None
        image = self._covering(entry, "image", self._image, entry.date) if self._image else None
        date = entry.date or (image.date if image is not None else "")
        if not date:
            raise InputError(
                f"the date of the image of site {entry.name!r} is known neither from its field date nor from "
                f"{'an image' if image is None else image.path}: write it into the image's name, as in "
                "site7_2021-05-10.tif, or add it to the sites as field date"
            )
        label = self._covering(entry, "label", self._label, date) if self._label and not self._vectors else None
        vectors = tuple(self._root / name for name in self._vectors)
        dates: dict[str, tuple[str, ...]] = {IMAGE: (date,)} if image is not None else {}
        if label is not None or vectors:
            dates[LABEL] = (date_of_vectors(vectors) if label is None else label.date,)
        primary = self._modalities[0]
        chosen = self._chosen(entry, primary, date)
        layers, clouds, further, notes = {}, {}, {}, []
        for modality in self._modalities:
            if modality is primary:
                found = [mosaic.files for mosaic in chosen]
            elif modality.units == "reflectance":
                found = self._of_the_same(entry, modality, chosen, date)
            else:
                found = [mosaic.files for mosaic in self._nearest(entry, modality, date)]
            if not found:
                notes.append(f"{modality.name}: absent (no file of the archive serves), masked")
                continue
            if len(found) < modality.dates:
                notes.append(f"{modality.name}: {len(found)} of {modality.dates} dates, the others masked")
            parts = [tuple(self._part(entry, modality, file) for file in files) for files in found]
            dates[modality.name] = tuple(files[0].date for files in found)
            layers[modality.name] = tuple(first.path for first, *_ in parts)
            if modality.units == "reflectance":
                clouds[modality.name] = tuple(first.mask for first, *_ in parts)
            if any(len(files) > 1 for files in parts):
                further[modality.name] = tuple(files[1:] for files in parts)
        return SiteSource(
            entry=dataclasses.replace(entry, date=date),
            layers=layers,
            image=None if image is None else image.path,
            label=None if label is None else label.path,
            vectors=vectors,
            clouds=clouds,
            further=further,
            built_up=self._built_up,
            notes=tuple(notes),
            dates=completed(dates, entry.dates, entry.name),
        )

    def _part(self, entry: SiteEntry, modality: Modality, file: Candidate) -> Part:
        """A file as a raster, with its mask of cloud."""
        path = file.path if file.found is None else stacked(file.found, modality, self._inputs / entry.name).path
        mask = file.classification() if modality.units == "reflectance" else None
        return Part(path, None if mask is None else CloudFile(mask))

    def table(self, path: pathlib.Path) -> None:
        """Writes the candidates of all sites that were looked for, and which were chosen, as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(path, text.getvalue())

    def _chosen(self, entry: SiteEntry, modality: Modality, date: str) -> list[Mosaic]:
        """The best acquisitions of the first modality, as many as it has dates."""
        judged = [self._judge(entry, c, date) for c in self._overlapping(entry, modality, date)]
        usable, refused = mosaics(without_reprocessed(judged))
        if len(usable) < modality.dates:
            for one in (*refused, *(part for mosaic in usable for part in mosaic.parts)):
                self._tell(entry, modality.name, one, reason=one.reason or "too few others")
            what = "; ".join(f"{one.candidate.name}: {one.reason}" for one in refused)
            raise InputError(
                f"site {entry.name!r} has {len(usable)} of the {modality.dates} acquisitions of modality "
                f"{modality.name!r} that it needs within {self._days} days of {date} in {self._root}"
                f"{f' ({what})' if what else ''}{self._unusable(modality.name)}: add products, or raise "
                "dataset.source.days"
            )
        crs = usable[0].files[0].lattice.crs  # further dates are warped only if they must be
        usable[1:] = sorted(usable[1:], key=lambda one: one.rank(crs))
        return self._first(entry, modality, usable, refused)

    def _judge(self, entry: SiteEntry, candidate: Candidate, date: str) -> Judged:
        days = days_apart(candidate.date, date)
        if days is None:
            return Judged(candidate, None, cloud=candidate.cloud, reason="its date is unknown")
        if abs(days) > self._days:
            reason = f"more than {self._days} days from the image"
            return Judged(candidate, days, cloud=candidate.cloud, reason=reason)
        return judge(entry, candidate, days, self._modalities[0], self._rule)

    def _of_the_same(
        self, entry: SiteEntry, modality: Modality, chosen: Sequence[Mosaic], date: str
    ) -> list[tuple[Candidate, ...]]:
        """The files of another optical modality, those of each chosen acquisition; none if one lacks its first."""
        others = self._overlapping(entry, modality, date)
        found = []
        for mosaic in chosen:
            files: list[Candidate] = []
            for first in mosaic.files:
                same = [c for c in others if c.name == first.name]
                day = [c for c in others if c.date[:10] == first.date[:10] and c.lattice.crs == first.lattice.crs]
                if same or day:
                    files.append(same[0] if same else same_ground(day, first))
                elif not files:
                    return []
            found.append(tuple({file.name: file for file in files}.values()))
            for part, file in enumerate(found[-1], start=1):
                self._tell(
                    entry, modality.name, Judged(file, None, seen=100.0), len(found), part, "as the first modality"
                )
        return found

    def _nearest(self, entry: SiteEntry, modality: Modality, date: str) -> list[Mosaic]:
        """The files of another sensor that cover most of the site, the nearest in date first.

        At most as many acquisitions as the modality has dates; a site with fewer has these.
        """
        judged = []
        for candidate in self._overlapping(entry, modality, date):
            days = days_apart(candidate.date, date)
            if days is not None and abs(days) > self._days:
                judged.append(Judged(candidate, days, reason=f"more than {self._days} days from the image"))
            else:  # swaths end inside their rectangle
                judged.append(judge(entry, candidate, days, modality, None))
        usable, refused = mosaics(judged, least=0)
        return self._first(entry, modality, usable, refused)

    def _first(
        self, entry: SiteEntry, modality: Modality, usable: Sequence[Mosaic], refused: Sequence[Judged]
    ) -> list[Mosaic]:
        """The first acquisitions, as many as a modality has dates; the table gets a row for every file."""
        for number, mosaic in enumerate(usable, start=1):
            used = number <= modality.dates
            for part, one in enumerate(mosaic.parts, start=1):
                if used:
                    self._tell(entry, modality.name, one, number, part, "" if part == 1 else "fills gaps")
                else:
                    self._tell(entry, modality.name, one, reason="others are better")
        for one in refused:
            self._tell(entry, modality.name, one, reason=one.reason or "others are better")
        return list(usable[: modality.dates])

    def _covering(self, entry: SiteEntry, layer: str, pattern: str, date: str) -> Candidate:
        """The file that covers most of a site; among equals the nearest in date."""
        found = [c for c in self._candidates((pattern,), None) if covered(entry, c) > 0]
        judged = [Judged(c, days_apart(c.date, date), seen=100 * covered(entry, c)) for c in found]
        judged.sort(key=lambda j: (*j.rank(None), j.candidate.name))
        if not judged:
            raise InputError(
                f"no {layer} in {self._root} ({pattern}) overlaps site {entry.name!r}{self._unusable('')}: add one, or "
                f"correct dataset.source.{layer}"
            )
        for number, one in enumerate(judged):
            if number:
                self._tell(entry, layer, one, reason="others are better")
            else:
                self._tell(entry, layer, one, 1, 1)
        return judged[0].candidate

    def _overlapping(self, entry: SiteEntry, modality: Modality, date: str) -> list[Candidate]:
        patterns = tuple(self._layers[modality.name])
        found = [*self._candidates(patterns, modality), *self._items(entry, patterns, modality, date)]
        return [c for c in found if covered(entry, c) > 0]

    def _items(self, entry: SiteEntry, patterns: tuple[str, ...], modality: Modality, date: str) -> list[Candidate]:
        """The STAC items that may show a site, within the days around a date."""
        assert entry.ground is not None
        box = bbox(entry.ground)
        wanted = Wanted((box[0], box[1], box[2], box[3]), around(date, self._days))
        catalogues = [path for pattern in patterns for path in self._matching(pattern) if is_stac(path)]
        items = [item for path in catalogues for item in self._wanted_items(path, wanted)]
        found = (self._candidate(item.id, item.path, StacScene(item), modality) for item in items)
        return [candidate for candidate in found if candidate is not None]

    @functools.lru_cache(maxsize=16)  # noqa: B019  # the modalities of a site ask for the same
    def _wanted_items(self, path: pathlib.Path, wanted: Wanted) -> list[Item]:
        return self._catalogue(path).find(wanted)

    @functools.cache  # noqa: B019  # an archive lives as long as its preparation
    def _catalogue(self, path: pathlib.Path) -> Catalogue:
        return open_catalogue(path)

    def _matching(self, pattern: str) -> list[pathlib.Path]:
        """The files of a pattern, sorted; an address is itself."""
        if is_remote(pattern):
            return [path_of(pattern)]
        return sorted(p for p in self._root.glob(pattern) if not p.name.startswith("."))

    @functools.cache  # noqa: B019  # an archive lives as long as its preparation
    def _candidates(self, patterns: tuple[str, ...], modality: Modality | None) -> list[Candidate]:
        """The files that match some patterns; a row of the table tells why one cannot be read."""
        paths = {p for pattern in patterns for p in self._matching(pattern) if not is_stac(p)}
        found = (self._candidate(self._short(path), path, None, modality) for path in sorted(paths))
        return [candidate for candidate in found if candidate is not None]

    def _candidate(
        self, name: str, path: pathlib.Path, acquired: Acquisition | None, modality: Modality | None
    ) -> Candidate | None:
        """A file, or an acquisition that was found; None, and a row of the table, if it cannot be read."""
        key = path, name, None if modality is None else modality.name  # ids of two catalogues may be equal
        if key not in self._opened:
            self._opened[key] = None
            try:
                if acquired is None and modality is not None:
                    acquired = acquisition_of(path, modality)
                if acquired is None or modality is None:
                    lattice, (date, cloud) = lattice_of(path), date_and_cloud(path, path.stem)
                else:
                    bands = acquired.bands(modality)
                    if not bands:
                        raise InputError(f"{name} has no bands of modality {modality.name!r}")
                    lattice, date, cloud = lattice_of(bands[0].path), acquired.date, acquired.cloud
                check_placed(lattice, name)
                self._opened[key] = Candidate(name, path, lattice, date, cloud, acquired)
            except InputError as error:
                self._rows.append({"layer": key[-1] or "", "file": name, "reason": f"cannot be used: {error}"})
        return self._opened[key]

    def _unusable(self, layer: str) -> str:
        """For a message: how many files of a layer (images and labels if empty) cannot be used, and why the first."""
        why = [row["reason"] for row in self._rows if "site" not in row and row["layer"] == layer]
        return f" ({len(why)} file{'s' * (len(why) > 1)} {why[0]})" if why else ""

    def _tell(
        self, entry: SiteEntry, layer: str, one: Judged, chosen: int | str = "", part: int | str = "", reason: str = ""
    ) -> None:
        self._rows.append(
            {
                "site": entry.name,
                "layer": layer,
                "file": one.candidate.name,
                "date": one.candidate.date,
                "days": "" if one.days is None else one.days,
                "seen_percent": f"{one.seen:.1f}" if one.seen else "",
                "cloud_percent": "" if one.cloud is None else f"{one.cloud:.1f}",
                "chosen": chosen,
                "part": part,
                "reason": reason,
            }
        )

    def _short(self, path: pathlib.Path) -> str:
        if is_remote(path):
            return address(bare(path))
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
