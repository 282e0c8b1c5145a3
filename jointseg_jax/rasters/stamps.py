"""The state of the files of scenes and sites, to see whether they changed."""

import functools
import hashlib
import json
import pathlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote, zipped
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.product_metadata import metadata_files
from jointseg_jax.rasters.raster_files import classification_of, dataset_lattice, files_behind
from jointseg_jax.storage import retries
from jointseg_jax.storage.files import sampled_sha256

_TIMEOUT = 30.0  # seconds
_REMEMBERED = 60.0  # seconds for which a server is not asked again about a file
_SAMPLED = 64  # blocks whose places and sizes make up the stamp of a file in an object store

Stamp = tuple[str, int, int]


def stamps_of(files: Mapping[str, Sequence[pathlib.Path]], masks: Iterable[pathlib.Path] = ()) -> tuple[Stamp, ...]:
    """Path, bytes and modification time (ns) of every file of a scene, the metadata of its product included.

    Of remote files see `stamp`.

    Args:
        files: modality -> its rasters.
        masks: rasters of masks that the user named.
    """
    rasters = [path for paths in files.values() for path in paths]
    behind = {file for raster in rasters for file in files_behind(raster)}
    behind |= {xml for file in {f.parent: f for f in behind}.values() for xml in metadata_files(file)}
    behind |= {scl for raster in rasters if (scl := classification_of(raster)) is not None}
    behind = {zipped.on_disk(file) for file in {*behind, *masks}}
    stamps = {file: stamp(file) for file in behind}
    return tuple(sorted((str(remote.bare(file)), *found) for file, found in stamps.items() if found is not None))


def stamp(path: pathlib.Path) -> tuple[int, int] | None:
    """The size of a file in bytes and its modification time (ns); None if it is missing.

    A remote file has its size (0 if unknown) and a number that changes when the file does. Of an http server that is
    its ETag, otherwise Last-Modified. Where a server gives neither, and for object stores, it is made of the raster's
    grid, tags, and the places and sizes of 64 of its blocks, which change with compressed pixels.

    Raises:
        InputError: a remote file cannot be read.
    """
    if not remote.is_remote(path):
        status = path.stat() if path.exists() else None
        return status and (status.st_size, status.st_mtime_ns)
    size, said = _validators(remote.address(path), int(time.monotonic() / _REMEMBERED))
    return size, int.from_bytes(hashlib.sha256((said or _layout(path)).encode()).digest()[:6], "big")


def contents_of(stamps: Iterable[Stamp]) -> str:
    """A digest that changes with the bytes of files, not with their times; of remote files with their stamps."""
    parts = [json.dumps(about) if remote.is_remote(path) else sampled_sha256(path) for path, *about in stamps]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _validators(url: str, time: int) -> tuple[int, str]:
    """Size and ETag (or Last-Modified) that an http server gives; an empty text if it gives none.

    Args:
        url: other addresses than http have no such text.
        time: counts periods of `_REMEMBERED` seconds.
    """
    if not url.startswith(("http:", "https:")):
        return 0, ""
    request = urllib.request.Request(url, method="HEAD")

    def ask() -> tuple[int, str]:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            return size, answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""

    try:
        return retries.call(ask, patience=remote.Patience())
    except OSError as error:
        # GDAL may have the credentials, and signed addresses may be for GET alone.
        if isinstance(error, urllib.error.HTTPError) and error.code not in remote.PASSING_CODES:
            return 0, ""
        raise InputError(remote.refusal(url, error)) from error


def _layout(path: pathlib.Path) -> str:
    """The header of a raster as text: grid, type, tags, and where blocks lie."""
    with open_raster(path) as raster:
        rows, cols = (-(-size // block) for size, block in zip(raster.shape, raster.block_shapes[0], strict=True))
        step = max(1, rows * cols // _SAMPLED)
        names = [f"{i % cols}_{i // cols}" for i in range(0, rows * cols, step)]
        places = [
            raster.get_tag_item(f"BLOCK_{what}_{name}", "TIFF", bidx=1) for name in names for what in ("OFFSET", "SIZE")
        ]
        lattice = dataset_lattice(raster)
        about = [raster.driver, raster.count, raster.dtypes, raster.nodatavals, raster.scales, raster.offsets]
        return json.dumps([*about, repr(lattice), raster.tags(), places], default=str)
