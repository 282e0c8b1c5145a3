"""PSNR, SSIM, spectral angle and detail of super-resolved images over a whole site, independent of its tiling.

Squared errors and angles add up. SSIM needs windows of 11 pixels, so rows of tiles are joined to strips that overlap by
ten rows: every window of the site is counted once.
"""

import dataclasses
import math
from fractions import Fraction

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.blocks import block_mean, repeat_pixels

_WINDOW = 11  # pixels, a Gaussian of sigma 1.5 (Wang et al. 2004)
STRIP_OVERLAP = _WINDOW - 1


@dataclasses.dataclass(frozen=True)
class ImageScore(Sums):
    """Sums over pixels (for PSNR and the spectral angle) and over windows (for SSIM and detail)."""

    squared_error: float = 0.0
    values: float = 0.0
    ssim: float = 0.0
    windows: float = 0.0
    detail: float = 0.0
    target_detail: float = 0.0
    angle: float = 0.0
    angles: float = 0.0

    def psnr(self, data_range: float) -> float | None:
        """Peak signal-to-noise ratio [dB] for a signal that spans `data_range`."""
        if not self.values:
            return None
        return 10 * math.log10(data_range**2 / max(self.squared_error / self.values, 1e-12))

    def mean_ssim(self) -> float | None:
        """Mean structural similarity over windows whose pixels are all valid."""
        return self.ssim / self.windows if self.windows else None

    def spectral_angle(self) -> float | None:
        """Mean angle [degrees] between the spectra of image and target (Kruse et al. 1993): brightness is no part."""
        return self.angle / self.angles if self.angles else None

    def detail_ratio(self) -> float | None:
        """Energy of the image at scales finer than a window, over the target's: 1 means as sharp, not as accurate."""
        return self.detail / self.target_detail if self.target_detail else None


def score_strip(
    image: np.ndarray, target: np.ndarray, valid: np.ndarray, data_range: float, overlap: int
) -> ImageScore:
    """Scores a strip of a site.

    Args:
        image: [h, w, 3].
        target: [h, w, 3].
        valid: bool [h, w].
        data_range: of the signal.
        overlap: rows at the top that the previous strip has already counted; its last windows end there.

    Returns:
        Squared errors and angles of the rows after the overlap; SSIM and detail of all windows inside the strip.
    """
    image, target = image.astype(np.float64), target.astype(np.float64)
    fresh = valid[overlap:]
    own, wanted = image[overlap:][fresh], target[overlap:][fresh]
    angles = _angles(own, wanted)
    squared = float(np.square(own - wanted).sum())
    per_pixel = ImageScore(squared, own.size, angle=float(angles.sum()), angles=angles.size)
    if min(image.shape[:2]) < _WINDOW:
        return per_pixel
    filled = np.where(valid[..., None], image, target)  # invalid pixels affect only windows that are excluded
    _, similarity = structural_similarity(
        filled,
        target,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
        channel_axis=-1,
        full=True,
    )
    reach = _WINDOW // 2
    inner = similarity.mean(-1)[reach:-reach, reach:-reach]
    whole = _all_valid_windows(valid)
    details = []
    for x in (filled, target):
        finer = x - ndimage.uniform_filter(x, (_WINDOW, _WINDOW, 1))
        details.append(float((np.square(finer).sum(-1)[reach:-reach, reach:-reach] * whole).sum()))
    return per_pixel + ImageScore(0.0, 0.0, float((inner * whole).sum()), float(whole.sum()), *details)


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles [degrees] between spectra [n, bands]; pairs in which one is zero have none and are left out."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(-1)[lengths > 0] / lengths[lengths > 0]
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _all_valid_windows(valid: np.ndarray) -> np.ndarray:
    """For every window position, whether all its pixels are valid: bool [h - 10, w - 10]."""
    views = np.lib.stride_tricks.sliding_window_view
    return np.asarray(views(np.asarray(views(valid, _WINDOW, axis=0).all(-1)), _WINDOW, axis=1).all(-1))


def area_mean(x: np.ndarray, valid: np.ndarray, spacing: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the valid 1 m pixels in each pixel of `spacing` metres, and whether at least half are valid.

    x: [h, w, 3]; valid: bool [h, w]. Returns [h / spacing, w / spacing, 3] float32 and bool.
    """
    if spacing == 1:
        return x, valid
    p, q = spacing.denominator, spacing.numerator  # a pixel of q / p metres
    weight = valid.astype(np.float32)[..., None]
    share = block_mean(repeat_pixels(weight, p), q)
    mean = block_mean(repeat_pixels(x * weight, p), q)
    return (mean / np.maximum(share, 1e-6)).astype(np.float32), share[..., 0] >= 0.5
