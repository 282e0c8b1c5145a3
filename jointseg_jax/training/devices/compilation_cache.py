"""The cache of compiled programs on disk, and a word to whoever waits for a compilation."""

import contextlib
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

import jax
import tqdm

PATIENCE = 4.0  # seconds without a word
_MOUNTS = pathlib.Path("/proc/self/mounts")
# JAX writes an entry in place, so another machine that shares the folder may read half of one.
_SHARED = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "fuse.sshfs", "9p", "afs")
_said: set[str] = set()


def use_compilation_cache(shared: pathlib.Path | None = None) -> None:
    """Caches compiled programs on disk, which reduces a second start to seconds.

    The folder is JAX_COMPILATION_CACHE_DIR if set, `shared`/xla for several processes, or the user's cache for one:
    below XDG_CACHE_HOME or ~/.cache, or where that is a network disk a folder of the user on this machine.

    Args:
        shared: a folder that all processes of the run see.
    """
    if not jax.config.values.get("jax_compilation_cache_dir"):
        # Process 0 alone writes, and on GPUs all processes autotune a program together: if one found the program in a
        # local cache, the others would wait for its part.
        cache = shared / "xla" if shared is not None and jax.process_count() > 1 else _of_user()
        if cache is not None:
            jax.config.update("jax_compilation_cache_dir", str(cache))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _of_user() -> pathlib.Path | None:
    """The user's folder; None if it cannot be written, or others can write to it: a program of theirs would run."""
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if on_network_disk(home):
        home = pathlib.Path(tempfile.gettempdir()) / f"jointseg-jax-{os.getuid()}"
    cache = home / "jointseg-jax" / "xla"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = cache.stat()
    except OSError:
        return None
    mine = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return cache if mine and os.access(cache, os.W_OK) else None


def on_network_disk(path: pathlib.Path, mounts: pathlib.Path = _MOUNTS) -> bool:
    """Whether a path lies on a disk that several machines share; False where the system does not say.

    Args:
        path: need not exist.
        mounts: table of mounted disks, as Linux has it.
    """
    try:
        rows = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    place = path.absolute()
    holding = [row for row in rows if len(row) > 2 and place.is_relative_to(row[1].replace("\\040", " "))]
    kind = max(holding, key=lambda row: len(row[1]))[2] if holding else ""
    return kind.startswith(_SHARED)


@contextlib.contextmanager
def announced(what: str, after: float = PATIENCE, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Says once per process that something is compiled and where it is kept, if the block takes a while.

    Args:
        what: is compiled; completes "compiling ...".
        after: seconds.
        say: receives the line; by default it goes to stderr, beside progress bars.
    """
    if what in _said:  # training asks at every step
        yield
        return
    _said.add(what)
    say = say or (lambda line: tqdm.tqdm.write(line, file=sys.stderr))
    cache = jax.config.values.get("jax_compilation_cache_dir")
    kept = f"; the next start finds the program in {cache}" if cache else ""
    timer = threading.Timer(after, lambda: say(f"compile {what}{kept}"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
