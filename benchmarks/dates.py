"""Measures what several dates add to one before anything is learned: PSNR of an image at 1 m.

    python benchmarks/dates.py $JOINTSEG_DATA/dubai/scene5/image.vrt --side=1600

Simulates dates of the image's centre as `prepare.py` does: a shift, a gain and noise each. `base` is the base of the
network, the dates' mean, deconvolved. The other columns are regularised least squares over the dates, on a lattice of
10 or 5 m and enlarged by bicubic, that ignore the dates' shifts, estimate them from the dates, or know them, with the
best of a few dampings each. Also prints the error of the estimated shifts.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from scipy import ndimage, sparse
from scipy.special import ndtr

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.number import real, whole
from jointseg_jax.data.sensor import Sensor, SensorSpread, gaussian_sigma, to_display, to_linear
from jointseg_jax.models.progressive import image_resample
from jointseg_jax.models.resampling import stencil
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import open_raster, read_window

MARGIN = 6  # coarse pixels around the crop, for the sensor
BORDER = 4  # coarse pixels inside it that no score counts
DAMPING = (0.1, 0.03, 0.01, 0.003)
ITERATIONS = 40
PROJECTIONS = 6  # as `model.back_projections`


@dataclasses.dataclass(frozen=True)
class Crop:
    """The true image, display values [10h, 10w, 3], and its dates: linear light [h, w, 3] each, without their gain."""

    truth: np.ndarray
    sensors: tuple[Sensor, ...]
    dates: tuple[np.ndarray, ...]


def simulate(path: pathlib.Path, side: int, count: int, shift: float, seed: int) -> Crop:
    """Simulates dates of the centre of an image; the side in metres, the shift in coarse pixels."""
    whole = side + 2 * MARGIN * FINE_FACTOR
    with open_raster(path) as raster:
        height, width = raster.shape
        stored, valid = read_window(raster, Window((height - whole) // 2, (width - whole) // 2, whole, whole))
    image = stored[..., :3].astype(np.float32) / 255
    nominal, later = Sensor.display(("R", "G", "B")), SensorSpread(mtf=0.0, shift=shift, snr=1.0)
    rng = np.random.default_rng(seed)
    sensors = (nominal, *(later.draw(nominal, rng) for _ in range(count - 1)))
    dates = []
    for sensor in sensors:
        seen = sensor.observe(image, valid, rng=rng)[0][MARGIN:-MARGIN, MARGIN:-MARGIN]
        dates.append(to_linear(seen) / np.asarray(sensor.gain or 1.0))
    edge = MARGIN * FINE_FACTOR
    return Crop(image[edge:-edge, edge:-edge], sensors, tuple(dates))


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """PSNR of display values, without the border."""
    edge = BORDER * FINE_FACTOR
    apart = (np.clip(image, 0, 1) - truth)[edge:-edge, edge:-edge].astype(np.float64)
    return float(-10 * np.log10(np.mean(apart**2)))


def base(crop: Crop, count: int, projections: int) -> np.ndarray:
    """The network's base of the first dates: the mean of their display values, deconvolved and enlarged."""
    mean = np.mean([to_display(date) for date in crop.dates[:count]], 0)[None]
    model = SensorModel(tuple(gaussian_sigma(m, 10.0) / 10 for m in crop.sensors[0].mtf), linear_light=True)
    sharp = model.sharpen(jnp.asarray(mean, jnp.float32), projections)
    return np.asarray(image_resample(sharp, Fraction(10)))[0]


def estimated_shifts(crop: Crop) -> np.ndarray:
    """How much further down and right each date was sampled than the first, metres [dates, 2]; Lucas-Kanade."""
    first = crop.dates[0]
    gradients = [np.gradient(first, axis=axis) for axis in (0, 1)]
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    a = np.stack([g[inner].ravel() for g in gradients], 1)
    found = []
    for date in crop.dates:
        shift = np.zeros(2)
        for _ in range(5):
            back = ndimage.shift(date, (*shift, 0), order=3, mode="nearest")
            shift += np.linalg.lstsq(a, (back - first)[inner].ravel(), rcond=None)[0]
        found.append(10 * shift)
    return np.array(found)


def least_squares(crop: Crop, count: int, spacing: int, damping: float, shifts: np.ndarray) -> np.ndarray:
    """Solves for the image on a lattice of `spacing` metres; display values, enlarged to 1 m."""
    size, finer = crop.truth.shape[0], 10 // spacing
    enlarge = bicubic(size // spacing, spacing)
    start = image_resample(jnp.asarray(np.mean(crop.dates[:count], 0)[None], jnp.float32), Fraction(finer))
    bands = []
    for band in range(3):
        rows, cols = [], []
        for sensor, (down, right) in zip(crop.sensors[:count], shifts[:count].tolist(), strict=True):
            sigma = gaussian_sigma(sensor.mtf[band], 10.0)
            rows.append(finer * observation(size, sigma, down) @ enlarge)
            cols.append(finer * observation(size, sigma, right) @ enlarge)
        seen = [finer**2 * date[..., band] for date in crop.dates[:count]]
        begin = np.asarray(start, np.float64)[0, ..., band]
        light = begin + correction(rows, cols, seen, begin, damping)
        bands.append((enlarge @ (enlarge @ to_display(np.maximum(light, 1e-5))).T).T)
    return np.stack(bands, -1)


def bicubic(length: int, factor: int) -> sparse.csr_matrix:
    """The bicubic enlargement of one axis as a matrix [factor * length, length]."""
    made = sparse.lil_matrix((factor * length, length))
    for phase, taps in enumerate(stencil(Fraction(factor), "bicubic") if factor > 1 else (((0, 1.0),),)):
        for offset, weight in taps:
            for at in range(length):
                made[at * factor + phase, min(max(at + offset, 0), length - 1)] += float(np.asarray(weight))
    return made.tocsr()


def observation(length: int, sigma: float, shift: float) -> sparse.csr_matrix:
    """What coarse pixels see along one axis of 1 m pixels: [length / 10, length]."""
    centres = FINE_FACTOR * np.arange(length // FINE_FACTOR)[:, None] + (FINE_FACTOR - 1) / 2 + shift
    apart = np.arange(length)[None] - centres
    weights = ndtr((apart + FINE_FACTOR / 2) / sigma) - ndtr((apart - FINE_FACTOR / 2) / sigma)
    weights[weights < 1e-6] = 0
    return sparse.csr_matrix(weights / weights.sum(1, keepdims=True))


def correction(
    rows: Sequence[sparse.csr_matrix],
    cols: Sequence[sparse.csr_matrix],
    seen: Sequence[np.ndarray],
    start: np.ndarray,
    damping: float,
) -> np.ndarray:
    """The change x of `start` with the least mean of |R (start + x) C' - y|^2 over dates, + damping |x|^2."""

    def adjoint(images: list[np.ndarray]) -> np.ndarray:
        parts = [(c.T @ (r.T @ image).T).T for r, c, image in zip(rows, cols, images, strict=True)]
        return np.asarray(sum(parts) / len(parts))

    def observe(x: np.ndarray) -> list[np.ndarray]:
        return [(c @ (r @ x).T).T for r, c in zip(rows, cols, strict=True)]

    residual = adjoint([y - again for y, again in zip(seen, observe(start), strict=True)])
    x, direction, power = np.zeros_like(start), residual, float((residual**2).sum())
    for _ in range(ITERATIONS):  # of conjugate gradients
        image = adjoint(observe(direction)) + damping * direction
        step = power / float((direction * image).sum())
        x = x + step * direction
        residual = residual - step * image
        before, power = power, float((residual**2).sum())
        direction = residual + power / before * direction
    return x


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one JSON line per number of dates; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=pathlib.Path, help="1 m RGB image, uint8")
    side = whole(200, 100_000, multiple=10)
    parser.add_argument("--side", type=cli.number(side), default=1600, help="of the crop, metres")
    parser.add_argument("--dates", default="1,2,4,8")
    shift = real(0, 10)
    parser.add_argument("--shift", type=cli.number(shift), default=0.2, help="spread of later dates, 10 m pixels")
    parser.add_argument("--seed", type=cli.number(whole(0)), default=0)
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    counts = [int(count) for count in flags.dates.split(",")]
    crop = simulate(flags.image, flags.side, max(counts), flags.shift, flags.seed)
    known, estimated = np.array([sensor.shift for sensor in crop.sensors]), estimated_shifts(crop)
    if max(counts) > 1:
        print(f"RMS error of estimated shifts: {np.sqrt(np.mean((estimated - known)[1:] ** 2)):.2f} m")
    choices = {"ignored": np.zeros_like(known), "estimated": estimated, "known": known}
    for count in counts:
        figures: dict[str, float] = {"dates": count}
        for name, projections in (("bicubic", 0), ("base", PROJECTIONS)):
            figures[name] = psnr(base(crop, count, projections), crop.truth)
        for spacing in (10, 5):
            for name, shifts in choices.items():
                found = [psnr(least_squares(crop, count, spacing, d, shifts), crop.truth) for d in DAMPING]
                figures[f"{spacing} m, {name}"] = max(found)
        print(json.dumps({k: round(v, 2) for k, v in figures.items()}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
