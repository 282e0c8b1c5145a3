"""Rasters on other machines: their names, and how patiently GDAL reads them.

An address (`https://...`, `s3://bucket/key`, `gs://`, `az://`) becomes the path of GDAL's virtual file system
(https://gdal.org/en/stable/user/virtual_file_systems.html), such as `/vsicurl/https:/host/a.tif`. `pathlib` joins
slashes, and `gdal_name` restores them. Credentials are those that GDAL reads from the environment.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

import rasterio

from jointseg_jax.errors import InputError

REMOTE = "JOINTSEG_REMOTE"  # environment: 1 lets GDAL read from other machines, 0 forbids it
# GDAL reads these from the environment, in every thread and process; values that the user has set win.
_SETTINGS = {
    "GDAL_HTTP_MAX_RETRY": "6",  # on 429, 5xx and reset connections; GDAL doubles the delay, with jitter
    "GDAL_HTTP_RETRY_DELAY": "0.5",  # seconds
    "GDAL_HTTP_CONNECTTIMEOUT": "30",  # seconds
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",  # bytes per second: slower for LOW_SPEED_TIME seconds, a request is dropped
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)

_ROOTS = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
_ADDRESS = re.compile(r"(https?|s3|gs|az):/+(?=[^/])", re.IGNORECASE)
_CURL = re.compile(r"/vsicurl/(https?):/+", re.IGNORECASE)
_CODE = re.compile(r"\b(?:HTTP response code|HTTP error code|HTTP Error|HTTP)\s*:?\s*(\d{3})\b", re.IGNORECASE)
_PASSING = re.compile(
    r"timed? ?out|too slow|reset|refused|could(?: not|n't) (?:connect|resolve)|transfer closed|Empty reply|broken pipe"
    r"|temporar|unreachable",
    re.IGNORECASE,
)
PASSING_CODES = frozenset((408, 425, 429, *range(500, 600)))
PATIENCE = 60.0  # seconds, after GDAL's own retries
# Further attempts after an error that may be a broken file or a cut connection; every other one sees a cache.
_DOUBTS = 4

_CREDENTIALS = {
    "/vsis3/": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE; AWS_NO_SIGN_REQUEST=YES for a public "
    "bucket, AWS_REQUEST_PAYER=requester where the reader pays, AWS_S3_ENDPOINT for another server)",
    "/vsigs/": "GOOGLE_APPLICATION_CREDENTIALS (or GS_NO_SIGN_REQUEST=YES for a public bucket)",
    "/vsiaz/": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_ACCESS_KEY or "
    "AZURE_STORAGE_SAS_TOKEN (AZURE_NO_SIGN_REQUEST=YES for a public container)",
    "": "GDAL_HTTP_BEARER with GDAL_HTTP_AUTH=BEARER, GDAL_HTTP_USERPWD, or GDAL_HTTP_HEADER_FILE",
}


def path_of(text: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a file: GDAL's for an address, and any other text as it is.

    An address that the user gives may be read: it sets `JOINTSEG_REMOTE` for this process and those that it starts,
    unless the user has set it.
    """
    name = os.fspath(text)
    match = _ADDRESS.match(name)
    if match is not None:
        scheme, rest = match[1].lower(), name[match.end() :]
        first, mark, query = rest.partition("?")
        rest = first + mark + query.replace("/", "%2F")  # a path would lose one of two slashes
        name = f"{_ROOTS[scheme]}{first}" if scheme in _ROOTS else f"/vsicurl/{scheme}:/{rest}"
    if is_remote(name):
        os.environ.setdefault(REMOTE, "1")
    return pathlib.Path(name)


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a name is an address, or lies in one of GDAL's virtual file systems other than an archive on disk."""
    name = os.fspath(path)
    return _ADDRESS.match(name) is not None or (name.startswith("/vsi") and not name.startswith("/vsizip/{"))


def allowed() -> bool:
    """Whether GDAL may read from other machines."""
    return os.environ.get(REMOTE, "") not in ("", "0")


def gdal_name(path: str | os.PathLike[str]) -> str:
    """The name that GDAL opens, with the slashes that a path lacks."""
    return _CURL.sub(r"/vsicurl/\1://", os.fspath(path))


def address(path: str | os.PathLike[str]) -> str:
    """The address of a path, `https://...` or `s3://...`, with its query: never show or store it, see `bare`."""
    name = gdal_name(path).removeprefix("/vsicurl/")
    for scheme, root in _ROOTS.items():
        name = re.sub(f"^{root}", f"{scheme}://", name)
    return name


def bare(path: pathlib.Path) -> pathlib.Path:
    """A path without its query, which may hold a signature; any other path as it is."""
    return pathlib.Path(os.fspath(path).partition("?")[0]) if is_remote(path) else path


def check_allowed(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` unless GDAL may read from other machines."""
    if not allowed():
        raise InputError(
            f"{address(path)} is not on this machine: download it first, or set {REMOTE}=1 to let GDAL read it remotely"
        )


@contextlib.contextmanager
def quick_open() -> Iterator[None]:
    """While open, GDAL asks a server for no side-cars of the rasters that it opens."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        yield


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """While open, GDAL asks the server again: otherwise it returns errors and truncated answers from its cache."""
    with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=":".join(["/vsicurl/", *_ROOTS.values()])):
        yield


class Patience:
    """How long to retry after an error on a remote raster, for `retries.call`."""

    def __init__(self) -> None:
        self._doubts = 0

    def __call__(self, error: Exception) -> float:
        """Seconds since the first attempt: a minute if the error may pass, none if the server refuses."""
        said = _said(error)
        code = code_of(said)
        if code in PASSING_CODES or (code is None and _PASSING.search(said)):
            return PATIENCE
        if code is not None or "CREDENTIALS" in said.upper() or "SIGN_REQUEST" in said:
            return 0.0
        self._doubts += 1  # GDAL also says `not recognized` or `IReadBlock failed` if a connection was cut
        return PATIENCE if self._doubts <= _DOUBTS else 0.0


def refusal(path: str | os.PathLike[str], error: Exception) -> str:
    """A sentence on a remote raster that cannot be read, without its query."""
    said = _said(error)
    code = code_of(said)
    where = address(path).partition("?")[0]
    if code == 404:
        return f"{where} does not exist (HTTP 404): correct the address, or the catalogue that gives it"
    if code in (401, 403) or "CREDENTIALS" in said.upper() or "SIGN_REQUEST" in said:
        root = next((root for root in _ROOTS.values() if gdal_name(path).startswith(root)), "")
        why = "no credentials were found" if code is None else f"HTTP {code}"
        signed = "" if root else ", or give a signed address that has not expired"
        return (
            f"{where} may not be read ({why}): set what GDAL reads from the environment, {_CREDENTIALS[root]}{signed}"
        )
    if code in PASSING_CODES or _PASSING.search(said):
        why = f"HTTP {code}" if code is not None else first_line(error)
        return (
            f"{where} could not be read over the network ({why}), although it was tried for some time: run the command "
            "again when the server answers; what is done is kept"
        )
    return (
        f"{where} cannot be opened as a raster ({first_line(error)}): it must be a GeoTIFF, JPEG 2000, PNG or JPEG; "
        "correct the address or restore the file"
    )


def first_line(error: BaseException) -> str:
    """The first line of the message of a rasterio exception or of its cause."""
    cause = error.__cause__ or error
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return said.splitlines()[0] if said else type(cause).__name__


def _said(error: BaseException) -> str:
    """The messages of an exception and its causes."""
    found, at = [], error.__cause__ or error.__context__
    for one in (error, *([at] if at is not None else [])):
        found.append(f"{one} {getattr(one, 'errmsg', '')}")
    return " ".join(found)


def code_of(said: str) -> int | None:
    """The status of HTTP that a message tells; None without one."""
    match = _CODE.search(said)
    return int(match[1]) if match else None
