"""Files that are either whole or absent."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from jointseg_jax.jobs import retries

_SAMPLES, _SAMPLE = 64, 16 << 10  # blocks of a file, and bytes of each, that stand for the whole
_ABANDONED = 24 * 3600.0  # seconds without a write, after which a partial file is a killed writer's


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; renames it into place when the block ends without an exception.

    The temporary name keeps the suffix of `path`, because raster drivers are chosen by it. A reader sees the old file
    or the new one, never a half-written one; a killed writer leaves only a `.partial-*` file behind.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = partial(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def partial(path: pathlib.Path) -> pathlib.Path:
    """A name for what will become `path`, that no other writer takes: machines share process numbers."""
    return path.with_name(f".partial-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def _sweep(path: pathlib.Path) -> None:
    """Removes what killed writers of `path` left behind, once it is old enough to be nobody's work."""
    for left in path.parent.glob(f".partial-*-{path.name}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file atomically; tries for a minute where storage fails in passing."""

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    retries.call(write)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON atomically, keys in the order given."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def file_name(text: str) -> str:
    """Any text, such as a scene's id, as the name of a file: itself where it can be, else with a digest of its own."""
    kept = re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip(".")[:100]
    return kept if kept == text else f"{kept}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's size and of 64 blocks of 16 KiB spread evenly over it, in hexadecimal.

    The first and the last block are among them; a file of up to 1 MiB is read whole. It costs the same for a file of
    any size, and does not see a change that leaves out all of these blocks.
    """
    with pathlib.Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        if size <= _SAMPLES * _SAMPLE:
            file.seek(0)
            digest.update(file.read())
        else:
            for i in range(_SAMPLES):
                file.seek(i * (size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
