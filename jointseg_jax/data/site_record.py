"""The record of a prepared site, `sites/NAME/site.json`: a fingerprint of its sources and digests of its rasters.

There are three levels of checks, by cost. Reading a raster detects only damage that breaks its compression.
`deep=False` compares sizes and samples of 1 MiB per raster, at the start of training. `deep=True` reads everything
(about 1 GB/s), before an evaluation and when `prepare` decides whether to keep a site.
"""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

from jointseg_jax.data.dataset import Dataset, Digest, Site
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import sampled_sha256, sha256

RECORD = "site.json"
_THREADS = 8  # storage serves parallel reads, and hashing releases the GIL


@dataclasses.dataclass(frozen=True)
class SiteRecord:
    """The record of a site; `sizes` of its rasters, bytes, in version 1 alone."""

    fingerprint: str
    site: Site
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)


def read(folder: pathlib.Path) -> SiteRecord:
    """Reads the record of a site; raises `FileNotFoundError`, `Damaged` or `Newer`."""
    return typed.read(folder / RECORD, SiteRecord, formats.SITE)


def fingerprint(rasters: str, ground: str) -> str:
    """The fingerprint of a site: a digest of all that its rasters depend on, and one of the ground of its splits."""
    return f"{rasters}.{ground}"


def same_rasters(one: str, other: str) -> bool:
    """Whether two fingerprints differ in the splits at most."""
    return one.partition(".")[0] == other.partition(".")[0]


def digests(folder: pathlib.Path, known: Mapping[str, Digest] | None = None) -> dict[str, Digest]:
    """Raster name in a site's folder -> `bytes`, `sha256`, and `sample`, see `files.sampled_sha256`.

    Those in `known` are taken from there.
    """
    found = known or {}
    return {path.name: found.get(path.name) or _digest(path) for path in sorted(folder.glob("*.tif"))}


def keep(folder: pathlib.Path, fingerprint: str, site: Site) -> None:
    """Writes the record of a site whose rasters are in place."""
    formats.write_record(folder / RECORD, {"fingerprint": fingerprint, "site": typed.plain(site)}, formats.SITE)


def fingerprint_of(folder: pathlib.Path) -> str:
    """The fingerprint of a site's sources and settings; raises `InputError` if the record is damaged."""
    return read(folder).fingerprint


def kept(folder: pathlib.Path, fingerprint: str) -> Site | None:
    """The site in a folder, if made from the same files and settings and intact; None if it must be made again.

    Raises:
        Newer: a newer version of the program wrote the record.
    """
    try:
        record = read(folder)
    except (OSError, formats.Damaged):
        return None
    site = record.site
    if record.fingerprint != fingerprint or not folder.is_dir():
        return None
    if not site.files:  # version 1 stored only sizes
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.tif")}
        if not record.sizes or any(sizes.get(name) != size for name, size in record.sizes.items()):
            return None
        site = site.replace(files=digests(folder))
        keep(folder, fingerprint, site)
        return site
    return None if amiss(folder, site, deep=True) else site


def kept_rasters(folder: pathlib.Path, fingerprint: str) -> Site | None:
    """The same as `kept`, if the splits may differ; the raster of the splits may be damaged."""
    try:
        record = read(folder)
    except (OSError, formats.Damaged):
        return None
    site = record.site
    if not site.files or not same_rasters(record.fingerprint, fingerprint):
        return None
    rasters = {name: digest for name, digest in site.files.items() if name != pathlib.PurePosixPath(site.split).name}
    return None if amiss(folder, site.replace(files=rasters), deep=True) else site


def amiss(folder: pathlib.Path, site: Site, *, deep: bool) -> str:
    """Describes what is wrong with the rasters of a site; empty if nothing is.

    Args:
        folder: of the site.
        site: its record; a version 1 record has no digests and is not checked.
        deep: see above.
    """
    for name, known in site.files.items():
        path = folder / name
        try:
            if path.stat().st_size != known["bytes"]:
                return f"{path} has {path.stat().st_size} bytes instead of {known['bytes']}"
            if (sha256(path) != known["sha256"]) if deep else (sampled_sha256(path) != known["sample"]):
                return f"{path} has changed since it was written (SHA-256)"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
    return ""


def check_rasters(data: Dataset, sites: Iterable[Site], *, deep: bool) -> None:
    """Checks the rasters of some sites against their digests.

    Raises:
        InputError: a raster differs.
    """
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(lambda site: amiss(data.root / site.folder, site, deep=deep), sites):
            if found:
                raise InputError(
                    f"{found}: run `jointseg prepare` with the dataset's --config, which prepares that site again"
                )


def _digest(path: pathlib.Path) -> Digest:
    return {"bytes": path.stat().st_size, "sha256": sha256(path), "sample": sampled_sha256(path)}
