"""Shows what a published network of factor 4, trained on photographs, makes of 10 m pixels.

    python benchmarks/published_prior.py $JOINTSEG_DATA/dubai/scene4/image.tif --weights=RealESRGAN_x4plus.pth

Simulates the 10 m input of a square of an image, enlarges it by the network to 2.5 m and from there by bicubic to 1 m,
and compares with bicubic alone at both: PSNR tells the distance from the true image, `detail` how sharp a picture looks
(energy at scales under 11 pixels over the true image's), right or wrong.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from benchmarks.dates import MARGIN, simulate
from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.data.sensor import to_display
from jointseg_jax.evaluation.images import area_mean, score_strip
from jointseg_jax.models.progressive import Stage, StageNet, image_resample
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.training.checkpoints.published import load_rrdbnet

FACTOR = 4


def enlarged(image: np.ndarray, params: dict) -> np.ndarray:
    """What the published network makes of a display image [h, w, 3]: [4h, 4w, 3]."""
    trunk = params["trunk"]["kernel1"]  # [blocks, dense blocks, 3, 3, features, growth]
    tail = params["conv_hr"]["kernel"].shape[-1]
    stage = Stage(Fraction(FACTOR), trunk.shape[0], trunk.shape[-2], trunk.shape[-1], tail)
    # Unrolled, 69 dense blocks would compile for minutes.
    network = jax.jit(StageNet(stage, scan=True).apply)
    return np.asarray(network({"params": params}, jnp.asarray(image, jnp.float32)[None])[0][0])


def to_fine(image: np.ndarray, factor: Fraction) -> np.ndarray:
    """Bicubic enlargement, clipped to 0 to 1."""
    return np.clip(np.asarray(image_resample(jnp.asarray(image, jnp.float32)[None], factor))[0], 0, 1)


def score(image: np.ndarray, truth: np.ndarray, factor: int) -> dict[str, float]:
    """PSNR [dB], SSIM and detail, without the edge, which the network saw without its surroundings.

    `factor` is the number of pixels on the side of an input pixel.
    """
    edge = MARGIN * factor
    inner = np.s_[edge:-edge, edge:-edge]
    known = np.ones(truth[inner].shape[:2], bool)
    found = score_strip(image[inner], truth[inner], known, 1.0, 0)
    values = {"psnr": found.psnr(1.0), "ssim": found.mean_ssim(), "detail": found.detail_ratio()}
    return {name: round(float(value), 3) for name, value in values.items() if value is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the scores as JSON, and draws the picture; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("image", type=pathlib.Path, help="1 m display image")
    parser.add_argument("--weights", type=pathlib.Path, required=True, help="of an RRDBNet x4")
    parser.add_argument("--side", type=cli.number(whole(200, 5000)), default=640, help="of the square, metres")
    parser.add_argument("--seed", type=cli.number(whole(0)), default=0, help="of the noise")
    parser.add_argument("--picture", type=pathlib.Path, help="JPEG to draw")

    def work() -> None:
        given = parser.parse_args(arguments)
        crop = simulate(given.image, given.side, 1, 0.0, given.seed)
        seen = to_display(crop.dates[0]).astype(np.float32)
        made = np.clip(enlarged(seen, load_rrdbnet(given.weights)), 0, 1)
        coarser, _ = area_mean(crop.truth, np.ones(crop.truth.shape[:2], bool), Fraction(FINE_FACTOR, FACTOR))
        for name, image in (("bicubic", to_fine(seen, Fraction(FACTOR))), ("published network", made)):
            print(json.dumps({"image": name, "metres": FINE_FACTOR / FACTOR, **score(image, coarser, FACTOR)}))
        pictures = {
            "input, 10 m": seen,
            "bicubic": to_fine(seen, Fraction(FINE_FACTOR)),
            "published network": to_fine(made, Fraction(FINE_FACTOR, FACTOR)),
            "true image, 1 m": crop.truth,
        }
        for name in ("bicubic", "published network"):
            print(json.dumps({"image": name, "metres": 1.0, **score(pictures[name], crop.truth, FINE_FACTOR)}))
        if given.picture:
            limits = drawing.stretch_limits(crop.truth)
            shown = [drawing.stretch(picture, limits) for picture in pictures.values()]
            panels = drawing.panels([shown], list(pictures), 300, [float(given.side)])
            given.picture.write_bytes(drawing.as_jpeg(panels))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
