"""Bounds of the programs' numeric flags; functions that take the same values check them with the same kinds."""

from jointseg_jax.bounds.number import real, whole
from jointseg_jax.errors import InputError

TILE = whole(1, unit="input pixels")  # too large a tile is refused once the network is known
BATCH = whole(1, unit="windows", optional=True)
HALO = whole(0, unit="input pixels")
GRID = whole(20, 10_000_000, multiple=20, unit="metres")  # 20 m: pixel of the coarser bands
WORKERS = whole(0, 10_000, unit="processes")
DATES = whole(1, 10_000, optional=True)
ALPHA = real(0.01, 0.5)
SHARPNESS = real(0.01, 100, optional=True)
YEARLY_SHARE = real(0, 0.45, optional=True)
CLOUD_BUFFER = whole(0, 10_000, unit="metres")
BAND = whole(1, 65_535)
YEAR = whole(1970, 2100)

PROCESSES = whole(1, 1_000_000, optional=True)
PROCESS = whole(0, 1_000_000, optional=True)
TIMEOUT = whole(1, 30 * 86_400, unit="seconds")

ZOOM = whole(0, 20, optional=True)

SITES = whole(1, 1_000_000, unit="sites")
DISTANCE = real(0, 1_000_000, unit="metres")
SIDE = real(10, 100_000, unit="metres")
SEED = whole(0, 2**32 - 1)


def check_augmented(augment: bool) -> None:
    """Raises `InputError` unless the map is made of flips and turns, from whose agreement the confidence comes."""
    if not augment:
        raise InputError("--confidence needs the eight flips and quarter turns of the input: add --augment")
