"""The folder of a page: a new page is built beside it, and replaces it only if this program wrote all its files."""

import contextlib
import pathlib
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from importlib import resources

from jointseg_jax.errors import InputError
from jointseg_jax.storage import folders, locks
from jointseg_jax.storage.files import atomic_path

CONTENT = "product.js"
_PICTURE = re.compile(r"layers/[a-z0-9]+/\d+/\d+/\d+\.png|numbers/[a-z]+/\d+/\d+/\d+\.js")
_OF_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")


@contextlib.contextmanager
def page_folder(target: pathlib.Path, inputs: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    """Yields a folder to build a page in; it becomes `target` if the block ends without an exception.

    Args:
        target: for the page; an earlier page there is replaced as a whole.
        inputs: files that are read.

    Raises:
        InputError: `target` is no page of this program, or holds other files.
    """
    static = _static()
    ours = [*static, CONTENT]
    older = lambda page: ours if {"index.html", CONTENT} <= {f.name for f in page.iterdir()} else None  # noqa: E731
    place = target.with_name(f".partial-{target.name}")
    with folders.claim(target, "page", names=ours, inputs=inputs, older=older) as claim:
        foreign = _foreign(target, claim.files)
        if foreign:
            raise InputError(
                f"{foreign} was not written by this program and would be removed: move it to another folder"
            )
        with locks.exclusive(place, "build of the page"):
            try:
                shutil.rmtree(place / "page", ignore_errors=True)  # left by a killed run
                for name, content in static.items():
                    with atomic_path(place / "page" / name) as temporary:
                        temporary.write_bytes(content)
                yield place / "page"
                shutil.copyfile(target / folders.MARKER, place / "page" / folders.MARKER)
                target.rename(place / "former")
                (place / "page").rename(target)
            finally:
                shutil.rmtree(place, ignore_errors=True)


def _static() -> dict[str, bytes]:
    """Reads the static files of every page, by name."""
    with resources.as_file(resources.files("jointseg_jax.mapping.viewer").joinpath("static")) as folder:
        return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def _foreign(page: pathlib.Path, ours: Collection[str]) -> pathlib.Path | None:
    """Finds the first file in a page's folder that does not belong to the page."""
    for path in sorted(page.rglob("*")):
        name = path.relative_to(page).as_posix()
        known = name in ours or name == folders.MARKER or _PICTURE.fullmatch(name) or path.name in _OF_DESKTOPS
        if not known and (path.is_symlink() or not path.is_dir()):
            return path
    return None
