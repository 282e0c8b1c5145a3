"""Statistics of the embedded landscape, beside those of real imagery at 1 m; prints JSON and a table.

    python benchmarks/landscape.py --seeds=0,1,2 --years=2017,2023 --side=720 --real=../shared/data/dubai --pictures=out

`--real` names a folder of scenes, each with `image.vrt` and `landcover.tif`; `--pictures` writes RGB pictures.
"""

import argparse
import json
import pathlib
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import rasterio
from scipy import ndimage

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.config import FIELDS
from jointseg_jax.bounds.number import Number
from jointseg_jax.landscape import BANDS, REGIONS, YEARS, LandCover, SyntheticScene, make_scene

CROP = 480  # pixels: the side of the crops of real scenes
WET = 0.5  # crops with more water than this are skipped
REAL_CLASSES = {1: "building", 2: "unpaved", 3: "road", 4: "vegetation", 5: "water"}  # of landcover.tif


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Luminance of an image [height, width, 3], stretched between the 1st and the 99th percentile of all values."""
    low, high = np.percentile(rgb, [1, 99])
    return np.clip((rgb - low) / (high - low), 0, 1) @ np.array([0.299, 0.587, 0.114])


def spectrum_slope(brightness: np.ndarray) -> float:
    """Slope of the radially averaged power spectrum in log-log, from 1/200 to 1/4 cycles per metre."""
    height, width = brightness.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2((brightness - brightness.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    ring = np.digitize(frequency.ravel(), np.geomspace(1 / 200, 1 / 4, 21))
    count = np.bincount(ring, minlength=22)
    used = np.flatnonzero((count > 0) & (np.arange(22) > 0) & (np.arange(22) < 21))
    mean_power = np.bincount(ring, power.ravel(), 22)[used] / count[used]
    mean_frequency = np.bincount(ring, frequency.ravel(), 22)[used] / count[used]
    return float(np.polyfit(np.log(mean_frequency), np.log(mean_power), 1)[0])


def edge_density(brightness: np.ndarray, threshold: float) -> float:
    """Share of pixels whose Sobel magnitude is above `threshold` standard deviations per metre."""
    standard = (brightness - brightness.mean()) / brightness.std()
    magnitude = np.hypot(ndimage.sobel(standard, 0), ndimage.sobel(standard, 1)) / 8
    return float((magnitude > threshold).mean())


def _texture(rgb: np.ndarray) -> dict[str, float]:
    bright = luminance(rgb)
    return {
        "slope": spectrum_slope(bright),
        "edges 0.25": edge_density(bright, 0.25),
        "edges 0.5": edge_density(bright, 0.5),
    }


def rgb_of(scene: SyntheticScene) -> np.ndarray:
    """Red, green and blue reflectance of a scene, [height, width, 3]."""
    return scene.reflectance[..., [BANDS.index(b) for b in ("B04", "B03", "B02")]]


def describe(scene: SyntheticScene) -> dict[str, float]:
    """The figures of one scene: texture, class shares, sizes of buildings and roads, reflectance percentiles."""
    figures = _texture(rgb_of(scene)) | {"impervious": float(scene.label.mean())}
    figures |= {c.name.lower(): float((scene.landcover == c).mean()) for c in LandCover}
    buildings = np.array([f.geometry.area for f in scene.features if f.kind == "building"])
    roads = [(f.width, f.geometry.length) for f in scene.features if f.kind == "road"]
    figures |= {"buildings": float(len(buildings)), "roads km": sum(length for _, length in roads) / 1000}
    figures |= {f"building m2 p{p}": float(np.percentile(buildings, p)) for p in (10, 50, 90)}
    widths = np.repeat([w for w, _ in roads], [max(1, int(length)) for _, length in roads])
    figures |= {f"road width p{p}": float(np.percentile(widths, p)) for p in (10, 50, 90)}
    for number, band in enumerate(BANDS):
        figures |= {f"{band} p{p}": float(np.percentile(scene.reflectance[..., number], p)) for p in (5, 50, 95)}
    return figures


def real_figures(folder: pathlib.Path) -> Iterator[dict[str, float]]:
    """The figures of the crops of real scenes: texture and class shares."""
    for image in sorted(folder.glob("*/image.vrt")):
        with rasterio.open(image) as raster:
            rgb = np.moveaxis(raster.read(), 0, -1).astype(np.float32)
        with rasterio.open(image.parent / "landcover.tif") as raster:
            cover = raster.read(1)
        for top in range(0, cover.shape[0] - CROP + 1, CROP):
            for left in range(0, cover.shape[1] - CROP + 1, CROP):
                part = (slice(top, top + CROP), slice(left, left + CROP))
                if (cover[part] == 5).mean() < WET:
                    shares = {name: float((cover[part] == code).mean()) for code, name in REAL_CLASSES.items()}
                    shares["impervious"] = shares["building"] + shares["road"]
                    yield _texture(rgb[part]) | shares


def demo_seconds(sites: int = 4, side: int = 720) -> float:
    """CPU seconds to make the scenes of the demo's sites, one year each."""
    began = time.process_time()
    for region in REGIONS:
        for number in range(1, sites + 1):
            seed = zlib.crc32(f"0 {region}-{number}".encode())
            make_scene(region, year=2021, height=side, width=side, seed=seed)
    return time.process_time() - began


def summary(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Mean, 5th and 95th percentile of each figure over some scenes or crops."""
    names = list(rows[0])
    values = np.array([[row[name] for name in names] for row in rows])
    spread = np.stack([values.mean(axis=0), *np.percentile(values, [5, 95], axis=0)], axis=1)
    return {name: [round(float(v), 4) for v in row] for name, row in zip(names, spread, strict=True)}


def _picture(path: pathlib.Path, scene: SyntheticScene) -> None:
    from PIL import Image

    rgb = rgb_of(scene)
    low, high = np.percentile(rgb, (0.5, 99.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * np.clip((rgb - low) / (high - low), 0, 1)).astype(np.uint8)).save(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the statistics; returns the exit status."""
    side = FIELDS["dataset.source.landscape.side"]
    assert isinstance(side, Number)
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--years", default=f"{YEARS[0]},{YEARS[-1]}")
    parser.add_argument("--side", type=cli.number(side), default=720, help="metres")
    parser.add_argument("--real", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("--time", action="store_true", help="also measure the CPU seconds of the demo's sites")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    seeds, years = ([int(n) for n in text.split(",")] for text in (flags.seeds, flags.years))
    found: dict[str, Any] = {}
    for region in REGIONS:
        for year in years:
            scenes = [make_scene(region, year=year, height=flags.side, width=flags.side, seed=s) for s in seeds]
            found[f"{region} {year}"] = summary([describe(scene) for scene in scenes])
            for seed, scene in zip(seeds, scenes, strict=True):
                if flags.pictures:
                    _picture(flags.pictures / f"{region}-{seed}-{year}.png", scene)
    if flags.real:
        found["real"] = summary(list(real_figures(flags.real)))
    result: dict[str, Any] = {"columns": ["mean", "p5", "p95"], "figures": found}
    if flags.time:
        result["demo CPU seconds"] = round(demo_seconds(), 1)
    print(json.dumps(result))
    names = list(found[f"{REGIONS[0]} {years[0]}"]) + [
        n for n in found.get("real", {}) if n in ("unpaved", "vegetation")
    ]
    print(f"\n{'mean over seeds':>18} " + " ".join(f"{column:>16}" for column in found))
    for name in names:
        cells = [f"{column[name][0]:16.3f}" if name in column else " " * 16 for column in found.values()]
        print(f"{name:>18} " + " ".join(cells))


if __name__ == "__main__":
    sys.exit(main())
