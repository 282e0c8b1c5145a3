"""The cache of compiled programs on disk."""

import os
import pathlib

import jax


def use_compilation_cache(shared: pathlib.Path | None = None) -> None:
    """Caches compiled programs on disk, which reduces a second start to seconds.

    The folder is JAX_COMPILATION_CACHE_DIR if set, `shared`/xla for several processes, or the user's cache for one.

    Args:
        shared: a folder that all processes of the run see.
    """
    if not jax.config.values.get("jax_compilation_cache_dir"):
        # Process 0 alone writes, and on GPUs all processes autotune a program together: if one found the program in a
        # local cache, the others would wait for its part.
        if shared is not None and jax.process_count() > 1:
            cache = shared / "xla"
        else:
            cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "jointseg-jax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
