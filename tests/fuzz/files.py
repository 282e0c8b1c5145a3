"""Mutations of a file as such: its bytes, its encoding, its place."""

import os
import pathlib
import random
import shutil
from collections.abc import Callable

FileMutation = Callable[[random.Random, pathlib.Path], None]


def replace(path: pathlib.Path, content: bytes) -> None:
    """Writes a file anew: it may be a link to the seed, which must stay as it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def content_of(path: pathlib.Path) -> bytes:
    """Of a plain file; a pipe would never give any."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    return path.read_bytes()


def truncate(rng: random.Random, path: pathlib.Path) -> None:
    content = content_of(path)
    replace(path, content[: rng.randrange(len(content) or 1)])


def flip(rng: random.Random, path: pathlib.Path) -> None:
    content = bytearray(content_of(path))
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    replace(path, bytes(content))


def zero_block(rng: random.Random, path: pathlib.Path) -> None:
    content = bytearray(content_of(path))
    at = rng.randrange(len(content))
    size = min(len(content) - at, rng.choice((4, 64, 512)))
    content[at : at + size] = bytes(size)
    replace(path, bytes(content))


def garbage(rng: random.Random, path: pathlib.Path) -> None:
    replace(path, rng.randbytes(rng.choice((1, 16, 300))))


def empty(_: random.Random, path: pathlib.Path) -> None:
    replace(path, b"")


def missing(_: random.Random, path: pathlib.Path) -> None:
    path.unlink()


def directory(_: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(_: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(_: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def circle(_: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def symlink(_: random.Random, path: pathlib.Path) -> None:
    """To the same file elsewhere: must not matter."""
    other = path.with_name(f"moved-{path.name}")
    path.rename(other)
    path.symlink_to(other.name)


def bom(_: random.Random, path: pathlib.Path) -> None:
    """A byte order mark, as Windows' editors write it: must not matter to a text."""
    replace(path, b"\xef\xbb\xbf" + content_of(path))


def utf16(_: random.Random, path: pathlib.Path) -> None:
    replace(path, content_of(path).decode().encode("utf-16"))


def latin1(_: random.Random, path: pathlib.Path) -> None:
    replace(path, content_of(path).decode().encode("latin-1", "replace") + "é".encode("latin-1"))


def blanks(_: random.Random, path: pathlib.Path) -> None:
    """White space around a JSON record: must not matter."""
    replace(path, b"\n\n  " + content_of(path) + b"\r\n\n")


BYTES: dict[str, FileMutation] = {
    "truncate": truncate, "flip": flip, "zero_block": zero_block, "garbage": garbage, "empty": empty,
}  # fmt: skip
PLACE: dict[str, FileMutation] = {
    "missing": missing, "directory": directory, "fifo": fifo, "dangling": dangling, "circle": circle,
    "symlink": symlink,
}  # fmt: skip
TEXT: dict[str, FileMutation] = {"bom": bom, "utf16": utf16, "latin1": latin1}
ANY: dict[str, FileMutation] = {**BYTES, **PLACE, **TEXT, "blanks": blanks}
HARMLESS = frozenset({"symlink", "blanks"})


def copy_tree(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """A copy of a folder on the disk of the cases, which can only link to files of their own disk."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    return target


def link_tree(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """A copy of a folder whose files are links to the originals; mutations replace them."""
    for folder, _, names in os.walk(source):
        here = target / pathlib.Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(pathlib.Path(folder) / name, here / name)
    return target
