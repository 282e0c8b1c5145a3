"""Opens rasters for reading; every read through GDAL begins here.

By default GDAL tries all its drivers on a file, whatever its name: a `scene.tif` may describe a web service that GDAL
then queries. Here the first bytes of a file select one driver, and every file that GDAL would follow (sources of a
virtual raster, overviews, masks) must pass the same test. Set JOINTSEG_REMOTE=1 to allow remote rasters and remote
sources of virtual rasters (`/vsicurl/...`, `s3://...`).
"""

import functools
import os
import pathlib
import stat
import threading

import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import vrt_sources, zipped
from jointseg_jax.storage import retries

REMOTE = "JOINTSEG_REMOTE"
_HEAD = 1024  # bytes, the number that GDAL reads
_KINDS = {
    "GTiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JP2OpenJPEG": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
}
_SIDE_CARS = (".ovr", ".OVR", ".msk", ".MSK", ".msk.ovr")  # GDAL opens these with any driver
_DEPTH = 8  # of nested virtual rasters

_trusted: set[tuple[str, int, int]] = set()  # virtual rasters with checked sources: path, bytes, time
_lock = threading.Lock()


def open_raster(path: str | os.PathLike[str]) -> DatasetReader:
    """Opens a local raster for reading: GeoTIFF, JPEG 2000, PNG, JPEG, or a virtual raster (VRT) of those.

    It may lie in a zip archive, see `zipped`.

    Raises:
        InputError: it is missing, is not a file, is not such a raster, or refers to a file that may not be read.
    """
    check_proj()
    try:
        return retries.call(
            lambda: open_dataset(path), errors=(RasterioError, OSError), patience=lambda _: patience(path)
        )
    except (RasterioError, OSError) as error:
        raise InputError(
            f"{path} cannot be opened as a raster ({first_line(error)}): restore the file or correct the path"
        ) from error


def open_dataset(path: str | os.PathLike[str]) -> DatasetReader:
    """`open_raster` without retries; raises the exceptions of rasterio and the operating system."""
    name = _name(path)
    if _remote_allowed() and zipped.split(name) is None and not pathlib.Path(name).exists():
        return rasterio.open(name, driver=[*_KINDS, "VRT"])
    return _open(pathlib.Path(name), 0)


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


def _remote_allowed() -> bool:
    return os.environ.get(REMOTE, "") not in ("", "0")


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
        if name.startswith("/vsi") or "://" in name or ":/" in name:
            raise InputError(
                f"{name} is not on this machine: download it first, or set {REMOTE}=1 to let GDAL read it remotely"
            ) from None
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
        if not os.path.lexists(source) and _remote_allowed():
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
    if other is None or _remote_allowed():
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


def patience(path: str | os.PathLike[str]) -> float:
    """Seconds to retry after a GDAL error; one that the operating system reports too may be temporary."""
    try:
        with pathlib.Path(path).open("rb") as file:
            file.read(1)
            file.seek(-1, os.SEEK_END)
            file.read(1)
    except OSError as error:
        return retries.storage_patience(error)
    return 0.3


def first_line(error: BaseException) -> str:
    """The first line of the message of a rasterio exception or of its cause."""
    cause = error.__cause__ or error
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return said.splitlines()[0] if said else type(cause).__name__
