"""Files inside zip archives, named as GDAL names them: `/vsizip/{/data/S2A.zip}/S2A.SAFE/MTD_MSIL2A.xml`."""

import fnmatch
import functools
import os
import pathlib
import re
import zipfile

from jointseg_jax.errors import InputError

# The braces keep the archive's name apart from the member's, whatever its suffix.
_NAME = re.compile(r"/vsizip/\{(.+)\}/(.+)")


def inside(archive: pathlib.Path, member: str) -> pathlib.Path:
    """GDAL's name of a file in an archive."""
    return pathlib.Path(f"/vsizip/{{{archive.absolute()}}}/{member}")


def split(path: str | os.PathLike[str]) -> tuple[pathlib.Path, str] | None:
    """The archive and the member that a name refers to; None for the name of any other file."""
    match = _NAME.fullmatch(os.fspath(path))
    return (pathlib.Path(match[1]), match[2]) if match else None


def on_disk(path: pathlib.Path) -> pathlib.Path:
    """The file of a name: the archive for a file inside one."""
    parts = split(path)
    return path if parts is None else parts[0]


def members(archive: pathlib.Path) -> frozenset[str]:
    """The names of an archive's files.

    Raises:
        InputError: it is no readable zip archive.
        OSError: it is missing.
    """
    state = archive.stat()
    return _members(archive, state.st_size, state.st_mtime_ns)


def is_file(path: pathlib.Path) -> bool:
    """Whether a file exists, on disk or in an archive."""
    parts = split(path)
    if parts is None:
        return path.is_file()
    return parts[0].is_file() and parts[1] in members(parts[0])


def files(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """The files of a folder, on disk or in an archive, whose names match a pattern; sorted."""
    parts = split(folder)
    if parts is None:
        return sorted(file for file in folder.glob(pattern) if file.is_file())
    if not parts[0].is_file():
        return []
    found = (pathlib.PurePosixPath(name) for name in members(parts[0]))
    return sorted(
        inside(parts[0], str(name))
        for name in found
        if str(name.parent) == parts[1] and fnmatch.fnmatchcase(name.name, pattern)
    )


def read(path: pathlib.Path, most: int = -1) -> bytes:
    """The first `most` bytes of a file, on disk or in an archive; all by default.

    Raises:
        InputError: the archive is damaged.
        OSError: the file cannot be read.
    """
    parts = split(path)
    if parts is None:
        with path.open("rb") as file:
            return file.read(most)
    archive, member = parts
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as file:
            return file.read(most)
    except KeyError as error:
        raise FileNotFoundError(2, "no such file in the archive", str(path)) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # encrypted: RuntimeError
        raise _damaged(archive, error) from error


@functools.lru_cache(maxsize=256)
def _members(archive: pathlib.Path, size: int, time: int) -> frozenset[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return frozenset(name for name in opened.namelist() if not name.endswith("/"))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(archive, error) from error


def _damaged(archive: pathlib.Path, error: Exception) -> InputError:
    return InputError(f"{archive} cannot be read as a zip archive ({error}): download it again")
