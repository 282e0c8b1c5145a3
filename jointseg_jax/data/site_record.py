"""What a prepared site was made from, and digests of its rasters: `sites/NAME/site.json`.

Three levels of checking, by cost. Reading a raster notices what breaks its compression, no more. `deep=False` compares
sizes and samples of 1 MiB per raster: it is done when training begins. `deep=True` reads everything (about 1 GB/s): it
is done when `prepare` decides that a site is there already, and before an evaluation.
"""

import concurrent.futures
import pathlib
from collections.abc import Iterable
from typing import Any

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import sampled_sha256, sha256

RECORD = "site.json"
_THREADS = 8  # storage answers several at a time, and hashing releases the GIL


def digests(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Name of each raster of a site's folder -> `bytes`, `sha256`, and `sample`, see `files.sampled_sha256`."""
    return {path.name: _digest(path) for path in sorted(folder.glob("*.tif"))}


def keep(folder: pathlib.Path, fingerprint: str, site: Site) -> None:
    """Writes the record of a site whose rasters are in place."""
    formats.write_record(folder / RECORD, {"fingerprint": fingerprint, "site": site.to_dict()}, formats.SITE)


def fingerprint_of(folder: pathlib.Path) -> str:
    """What the site of a folder was made from; raises `InputError` where the record is damaged."""
    return str(formats.read_record(folder / RECORD, formats.SITE)["fingerprint"])


def kept(folder: pathlib.Path, fingerprint: str) -> Site | None:
    """The site that was made from the same files and settings; None where it has to be made.

    Raises:
        Newer: a newer version of the program made it.
    """
    path = folder / RECORD
    try:
        record = formats.read_record(path, formats.SITE)
        site = Site.from_dict(record["site"], path)
        same = record["fingerprint"] == fingerprint
    except formats.Newer:
        raise
    except (OSError, formats.Damaged, KeyError, TypeError, ValueError):
        return None
    if not same or not folder.is_dir():
        return None
    if not site.files:  # version 1 kept sizes alone
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.tif")}
        if not record["sizes"] or any(sizes.get(name) != size for name, size in record["sizes"].items()):
            return None
        site = site.replace(files=digests(folder))
        keep(folder, fingerprint, site)
        return site
    return None if amiss(folder, site, deep=True) else site


def amiss(folder: pathlib.Path, site: Site, *, deep: bool) -> str:
    """What is wrong with the rasters of a site, in words; empty where nothing is.

    Args:
        folder: of the site.
        site: its record; one of version 1 has no digests and is not checked.
        deep: see above.
    """
    for name, known in site.files.items():
        path = folder / name
        try:
            if path.stat().st_size != known["bytes"]:
                return f"{path} has {path.stat().st_size} bytes where {known['bytes']} were written"
            which, digest = ("sha256", sha256) if deep else ("sample", sampled_sha256)
            if digest(path) != known[which]:
                return f"{path} is not what was written (SHA-256)"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
    return ""


def insist(data: Dataset, sites: Iterable[Site], *, deep: bool) -> None:
    """Compares the rasters of some sites with their digests.

    Raises:
        InputError: one differs.
    """
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(lambda site: amiss(data.root / site.folder, site, deep=deep), sites):
            if found:
                raise InputError(
                    f"{found}: run `python prepare.py` with the dataset's --config again, which makes that site anew"
                )


def _digest(path: pathlib.Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path), "sample": sampled_sha256(path)}
