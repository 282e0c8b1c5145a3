"""Opens rasters for reading; every read through GDAL begins here.

By default GDAL tries all its drivers on a file, whatever its name: a `scene.tif` may describe a web service that GDAL
then queries. Here the first bytes of a file select one driver, and every file that GDAL would follow (sources of a
virtual raster, overviews, masks) must pass the same test. JOINTSEG_REMOTE=1 allows remote rasters and remote sources of
virtual rasters (`/vsicurl/...`, `s3://...`); an address that the user gives sets it, see `remote`.
"""

import contextlib
import functools
import os
import pathlib
import stat
import threading
from collections.abc import Callable
from typing import TypeVar

import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote, vrt_sources, zipped
from jointseg_jax.rasters.remote import first_line
from jointseg_jax.storage import retries

_HEAD = 1024  # bytes, the number that GDAL reads
_KINDS = {
    "GTiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JP2OpenJPEG": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
}
_ENDINGS = {"GTiff": (".tif", ".tiff"), "JP2OpenJPEG": (".jp2",), "PNG": (".png",), "JPEG": (".jpg", ".jpeg")}
_SIDE_CARS = (".ovr", ".OVR", ".msk", ".MSK", ".msk.ovr")  # GDAL opens these with any driver
_DEPTH = 8  # of nested virtual rasters

T = TypeVar("T")

_trusted: set[tuple[str, int, int]] = set()  # virtual rasters with checked sources: path, bytes, time
_lock = threading.Lock()


def open_raster(path: str | os.PathLike[str]) -> DatasetReader:
    """Opens a raster for reading: GeoTIFF, JPEG 2000, PNG, JPEG, or a virtual raster (VRT) of those.

    It may lie in a zip archive, see `zipped`, or on another machine, see `remote`.

    Raises:
        InputError: it is missing, is not a file, is not such a raster, or refers to a file that may not be read.
    """
    check_proj()
    try:
        return retried(path, lambda: open_dataset(path))
    except (RasterioError, OSError) as error:
        if remote.is_remote(path):
            raise InputError(remote.refusal(path, error)) from error
        raise InputError(
            f"{path} cannot be opened as a raster ({first_line(error)}): restore the file or correct the path"
        ) from error


def open_dataset(path: str | os.PathLike[str]) -> DatasetReader:
    """`open_raster` without retries; raises the exceptions of rasterio and the operating system."""
    name = _name(path)
    if remote.is_remote(name) and not pathlib.Path(name).exists():
        remote.check_allowed(name)
        return _open_remote(name)
    return _open(pathlib.Path(name), 0)


def retried(path: str | os.PathLike[str], read: Callable[[], T], *, again: bool = False) -> T:
    """The result of `read`, which reads a raster through GDAL; repeats it on errors that may pass.

    Args:
        path: the raster.
        read: may be called several times.
        again: it has failed before.

    Raises:
        RasterioError, OSError: it still fails.
    """
    errors = (RasterioError, OSError)
    if not _reaches_out(path):
        return retries.call(read, errors=errors, patience=lambda _: _patience(path))
    if not again:
        patience = remote.Patience()
        try:
            with remote.quick_open():
                return read()
        except errors as error:
            if not patience(error):
                raise

    def read_uncached() -> T:
        with remote.quick_open(), remote.uncached():
            return read()

    return retries.call(read_uncached, errors=errors, patience=remote.Patience(), first=0.1)


def is_raster(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like a raster that `open_raster` reads."""
    try:
        return _driver(pathlib.Path(_name(path))) is not None
    except (InputError, OSError):
        return False


@functools.cache
def check_proj() -> None:
    """Raises `InputError` if PROJ uses the tables of another installation and so cannot look up EPSG codes."""
    try:
        CRS.from_epsg(4326)
    except CRSError as error:
        name = next((n for n in ("PROJ_DATA", "PROJ_LIB") if os.environ.get(n)), None)
        if name is None:
            raise InputError(
                f"rasterio cannot find its CRS database ({first_line(error)}): install rasterio again"
            ) from error
        raise InputError(
            f"the environment variable {name}={os.environ[name]} points to the database of another PROJ, which "
            f"rasterio cannot read: unset it (unset PROJ_DATA PROJ_LIB) and run the command again"
        ) from error


def _name(path: str | os.PathLike[str]) -> str:
    """The path for rasterio, in any locale; absolute if it could be mistaken for a URL scheme."""
    try:
        name = os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"the name of {os.fspath(path)!a} is not UTF-8, so it cannot be opened: rename it") from error
    if "\0" in name:
        raise InputError(f"{name!r} is not a file name: correct the path")
    return str(pathlib.Path(name).absolute()) if ":" in name and pathlib.Path(name).exists() else name


def _open(path: pathlib.Path, depth: int) -> DatasetReader:
    driver = _driver(path)
    if driver is None:
        raise InputError(
            f"{path} is not a GeoTIFF, JPEG 2000, PNG, JPEG or virtual raster (VRT): correct the path, or "
            "convert it (gdal_translate)"
        )
    if driver == "VRT":
        _check_sources(path, depth)
    for side in _SIDE_CARS:
        car = pathlib.Path(f"{path}{side}")
        if zipped.split(path) is not None:
            if zipped.is_file(car):
                raise InputError(f"{car}, which GDAL would read with {path.name}, is not supported: unpack the archive")
            continue
        if car.exists() and car.stat().st_size and _driver(car) not in _KINDS:
            raise InputError(f"{car}, which GDAL would read with {path.name}, is not a raster: remove it")
    metadata = pathlib.Path(f"{path}.aux.xml")
    if metadata.exists() and not metadata.is_file():
        raise InputError(f"{metadata}, which GDAL would read with {path.name}, is not a file: remove it")
    dataset = rasterio.open(str(path), driver=driver)
    try:
        _check_overviews(dataset, path)
    except BaseException:
        dataset.close()
        raise
    return dataset


def _driver(path: pathlib.Path) -> str | None:
    """GDAL's driver for a local file, by its first bytes; None if the format is not supported."""
    name = str(path)
    if zipped.split(path) is not None:
        return _driver_of(zipped.read(path, _HEAD), nested=False)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if remote.is_remote(name) or ":/" in name:
            remote.check_allowed(name)
        raise
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder, but a raster file is needed: give the path of a file in it")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is a pipe, a socket or a device, not a file: save its content in a file first")
    return _driver_of(zipped.read(path, _HEAD))


def _driver_of(head: bytes, *, nested: bool = True) -> str | None:
    """The driver for a file that begins so; virtual rasters only if `nested`, because their sources are local."""
    for driver, beginnings in _KINDS.items():
        if head.startswith(beginnings):
            return driver
    return "VRT" if nested and vrt_sources.MARK in head else None


def _check_sources(path: pathlib.Path, depth: int) -> None:
    """Checks that every source of a virtual raster is a local raster that passes the same test."""
    state = path.stat()
    key = (str(path.absolute()), state.st_size, state.st_mtime_ns)
    if key in _trusted:
        return
    if depth >= _DEPTH:
        raise InputError(
            f"{path} refers to virtual rasters more than {_DEPTH} levels deep, or in a circle: refer to plain rasters"
        )
    complete = True
    for source in vrt_sources.sources_of(path):
        if not os.path.lexists(source) and remote.allowed():
            continue
        try:
            _open(pathlib.Path(source), depth + 1).close()
        except InputError as error:
            if depth:  # only the outermost raster adds to the message
                raise
            raise InputError(f"{path} refers to a file that cannot be used: {error}") from error
        except FileNotFoundError:  # GDAL reports it when it reads that source
            complete = False
    if complete:
        with _lock:
            _trusted.add(key)


def _check_overviews(dataset: DatasetReader, path: pathlib.Path) -> None:
    """Checks the overview file that a raster may name, because GDAL opens it with any driver."""
    other = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if other is None or remote.allowed():
        return
    base = other.removeprefix(":::BASE:::")
    at = path.parent / base if base != other else pathlib.Path(base)
    try:
        known = _driver(at) in _KINDS
    except (InputError, OSError):
        known = False
    if not known:
        raise InputError(
            f"{path} takes its overviews from {other}, which is not a local raster: copy the file without them "
            "(gdal_translate -co COPY_SRC_OVERVIEWS=NO)"
        )


def _open_remote(name: str) -> DatasetReader:
    """Opens a remote raster with the first driver that knows its bytes, which GDAL reads once for all of them."""
    expected = next((d for d, endings in _ENDINGS.items() if name.partition("?")[0].lower().endswith(endings)), "GTiff")
    found = None
    for driver in sorted(_KINDS, key=lambda d: d != expected):
        try:
            with remote.quick_open():
                return rasterio.open(remote.gdal_name(name), driver=driver)
        except RasterioError as error:
            if "not recognized" not in str(error):
                raise
            found = found or error
    assert found is not None
    raise found


def quick(path: str | os.PathLike[str]) -> contextlib.AbstractContextManager[None]:
    """While open, GDAL asks servers for no side-cars of a raster and of its sources; those on disk are still found."""
    return remote.quick_open() if _reaches_out(path) else contextlib.nullcontext()


def _reaches_out(path: str | os.PathLike[str]) -> bool:
    """Whether a raster, or a source of a virtual one, lies on another machine."""
    if not remote.allowed():
        return False
    if remote.is_remote(path) or not os.fspath(path).endswith(".vrt"):
        return remote.is_remote(path)
    try:
        state = os.stat(path)  # noqa: PTH116  # of a text
        return _has_remote_source(os.fspath(path), state.st_size, state.st_mtime_ns)
    except (InputError, OSError):
        return False


@functools.lru_cache(maxsize=1024)
def _has_remote_source(path: str, size: int, time: int) -> bool:
    return any(map(remote.is_remote, vrt_sources.sources_of(pathlib.Path(path))))


def _patience(path: str | os.PathLike[str]) -> float:
    """Seconds to retry after a GDAL error; one that the operating system reports too may be temporary."""
    try:
        with pathlib.Path(path).open("rb") as file:
            file.read(1)
            file.seek(-1, os.SEEK_END)
            file.read(1)
    except OSError as error:
        return retries.storage_patience(error)
    return 0.3
