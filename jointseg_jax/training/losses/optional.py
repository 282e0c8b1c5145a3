"""Optional terms of the joint objective: positive-unlabelled, boundary, balance, feature affinity, shift-tolerant L1.

Pure functions over masked pixels in float32. Each optional loss comes with the function that makes its weights from the
masks of a batch; weights are normalised over the whole global batch, see `masked_mean`.
"""

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.resampling import area_mean, masked_area_mean
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training.losses.masked_mean import valid_like, weighted_sum


def _window(x: jax.Array, reach: int, choose: Callable[..., jax.Array], start: float, padding: str) -> jax.Array:
    """Maximum or minimum over a sliding square of side 2 * reach + 1, axis by axis. [b, h, w, ...]."""
    for axis in (1, 2):
        size = tuple(2 * reach + 1 if a == axis else 1 for a in range(x.ndim))
        x = jax.lax.reduce_window(x, np.asarray(start, x.dtype), choose, size, (1,) * x.ndim, padding)
    return x


def boundary_band(label: jax.Array, reach: int) -> jax.Array:
    """Labelled pixels within `reach` pixels (in rows and in columns) of a labelled pixel of another class.

    label: integers [b, h, w], 255 ignored. Ignored pixels are never in the band and create none, because their edge is
    not an edge of a class. Returns float32 [b, h, w]. Raises `ValueError` for a reach below 1.
    """
    if reach < 1:
        raise ValueError(f"a boundary band of {reach} pixels is empty: use 1 or more")
    known = label != IGNORE
    classes = label.astype(jnp.int32)
    limits = np.iinfo(np.int32)
    highest = _window(jnp.where(known, classes, limits.min), reach, jax.lax.max, limits.min, "SAME")
    lowest = _window(jnp.where(known, classes, limits.max), reach, jax.lax.min, limits.max, "SAME")
    return (known & (highest != lowest)).astype(jnp.float32)


def class_weights(label_share: Sequence[float], power: float = 0.5) -> tuple[float, ...]:
    """Class weights that balance rare against frequent classes: share ** -power.

    The mean weight over the pixels of the dataset is 1. Power 0 gives equal weights, 1 gives every class the same
    total, and 0.5 is the square-root balance of Mahajan et al. (2018).

    Args:
        label_share: of each class among the labelled pixels of the dataset; counts also work.
        power: at least 0.

    Raises:
        ValueError: a class has no pixel, or the power is negative.
    """
    share = np.asarray(label_share, np.float64)
    if share.ndim != 1 or not np.all(np.isfinite(share) & (share > 0)):
        raise ValueError(f"class shares {tuple(label_share)} cannot be balanced: each class needs labelled pixels")
    if power < 0:
        raise ValueError(f"a balancing power of {power} would favour the frequent classes: use 0 or more")
    share = share / share.sum()
    weights = share**-power
    return tuple(float(w) for w in weights / np.sum(share * weights))


def class_weight_map(label: jax.Array, weights: Sequence[float]) -> jax.Array:
    """The weight of each labelled pixel's class; 0 for ignored pixels.

    Args:
        label: integers [b, h, w], 255 ignored.
        weights: one per class, see `class_weights`.

    Returns:
        float32 [b, h, w].
    """
    parts = (w * (label == k).astype(jnp.float32) for k, w in enumerate(weights))
    return sum(parts, jnp.zeros(label.shape, jnp.float32))


def positive_unlabelled(logits: jax.Array, label: jax.Array, weight: jax.Array, completeness: float) -> jax.Array:
    """The cross-entropy where absence is unknown: the non-negative risk of Kiryo et al. (2017, equation 6).

    Impervious labels are true, but only a share of the impervious ground, drawn at random, has one; a pervious label
    means unknown. All labelled pixels stand for the ground, and those labelled impervious for the impervious part of
    it (one sample, as in Elkan and Noto 2008). With l of one class, means over all labelled pixels of the batch:

        mean(P l(impervious)) / completeness + max(0, mean(l(pervious)) - mean(P l(pervious)) / completeness)

    P is 1 where the label is impervious. A completeness of 1 gives the cross-entropy.

    The maximum is that of the whole batch: the losses of pieces do not add up.

    Args:
        logits: [b, h, w, 2].
        label: integers [b, h, w]: 0 unknown, 1 impervious, 255 ignored.
        weight: normalised [b, h, w], 0 for ignored pixels.
        completeness: share of the impervious ground that is labelled so, above 0 and at most 1.

    Raises:
        ValueError: the completeness is none.
    """
    if not 0 < completeness <= 1:
        raise ValueError(f"a completeness of labels of {completeness} is none: it lies above 0 and is at most 1")
    losses = -jax.nn.log_softmax(logits.astype(jnp.float32))
    shown = (label == 1).astype(jnp.float32) / completeness
    pervious = weighted_sum(losses[..., 0] * (1 - shown), weight)
    return weighted_sum(losses[..., 1] * shown, weight) + jnp.maximum(pervious, 0)


def affinity_pairs(valid: jax.Array, grid: int) -> jax.Array:
    """1 for each pair of cells of a sample that are both at least half valid.

    Args:
        valid: [b, h, w, 1], bool or 0 / 1.
        grid: cells down the patch; columns shrink alike.

    Returns:
        float32 [b, cells, cells].
    """
    share = area_mean(valid.astype(jnp.float32), Fraction(grid, valid.shape[1]))
    seen = (share >= 0.5).astype(jnp.float32).reshape(share.shape[0], -1)
    return seen[:, :, None] * seen[:, None, :]


def feature_affinity(
    features_a: jax.Array, features_b: jax.Array, valid: jax.Array, grid: int, weight: jax.Array
) -> jax.Array:
    """The difference between the self-similarities of two branches (DSRL's feature affinity, Wang et al. 2020).

    Features are averaged over valid pixels to `grid` cells down a patch and brought to unit length; the loss is the
    mean absolute difference of the cosine similarities of all pairs of cells within a sample. The branches may differ
    in channels and in lattice. Memory is [b, cells, cells]: a grid of 32 on a square patch takes 4 MiB per sample.

    Args:
        features_a: [b, h, w, c].
        features_b: [b, h', w', c'].
        valid: [b, H, W, 1], on the finest lattice of the three.
        grid: cells down the patch; columns shrink alike.
        weight: of the pairs, normalised [b, cells, cells], see `affinity_pairs`.

    Raises:
        ValueError: a lattice does not shrink to the grid, or the mask is coarser than the features.
    """

    def similarity(features: jax.Array) -> jax.Array:
        scale = Fraction(grid, features.shape[1])
        cells, _ = masked_area_mean(features.astype(jnp.float32), valid_like(valid, features), scale)
        # The constant keeps the gradient finite for a cell without features.
        unit = cells * jax.lax.rsqrt(jnp.sum(jnp.square(cells), -1, keepdims=True) + 1e-8)
        unit = unit.reshape(unit.shape[0], -1, unit.shape[-1])
        # TF32 or bfloat16 would lose the difference of two nearly equal similarities.
        return jnp.einsum("bic,bjc->bij", unit, unit, precision=jax.lax.Precision.HIGHEST)

    return weighted_sum(jnp.abs(similarity(features_a) - similarity(features_b)), weight)


def shift_mask(valid: jax.Array, reach: int) -> jax.Array:
    """The pixels that `shift_tolerant_l1` compares: all pixels within `reach` of them are in the patch and valid.

    Args:
        valid: [b, h, w, 1], bool or 0 / 1.
        reach: in pixels.

    Returns:
        float32 [b, h - 2 * reach, w - 2 * reach, 1].

    Raises:
        ValueError: the reach is negative or leaves no pixel of the patch.
    """
    height, width = valid.shape[1:3]
    if not 0 <= 2 * reach < min(height, width):
        raise ValueError(f"shifts by {reach} pixels leave nothing to compare in an image of {height} x {width}")
    return _window(valid.astype(jnp.float32), reach, jax.lax.min, np.inf, "VALID")


def shift_tolerant_l1(
    prediction: jax.Array, target: jax.Array, weight: jax.Array, reach: int
) -> tuple[jax.Array, jax.Array]:
    """L1 at the best whole-pixel shift of each sample's target, because real image pairs are never exactly aligned.

    It compares prediction[y, x] with target[y + dy, x + dx] for all shifts (dy, dx) within `reach` in rows and columns.
    All shifts compare the same pixels (see `shift_mask`), so none wins by leaving pixels out. Gradients pass through
    the L1 at the chosen shift, not through the choice; among equally good shifts the shortest wins. With reach 0 this
    is the masked L1. [ours], after the registration search of PROBA-V's score (Märtens et al. 2019).

    Args:
        prediction: [b, h, w, c], in the unit of the L1.
        target: [b, h, w, c], likewise.
        weight: of the compared pixels, normalised [b, h - 2 * reach, w - 2 * reach, 1].
        reach: in pixels; (2 * reach + 1) ** 2 shifts are tried.

    Returns:
        The L1 over the compared pixels of the whole batch, a scalar, and the length in pixels of the shift chosen for
        each sample, [b].
    """
    height, width = prediction.shape[1:3]
    prediction, target = prediction.astype(jnp.float32), target.astype(jnp.float32)
    inner = prediction[:, reach : height - reach, reach : width - reach]

    # With static slices, rows on several devices exchange only their edges and nothing is gathered.
    def rows(x: jax.Array, dy: int) -> jax.Array:
        return x[:, reach + dy : height - reach + dy]

    def columns(x: jax.Array, dx: int) -> jax.Array:
        return x[:, :, reach + dx : width - reach + dx]

    steps = range(-reach, reach + 1)
    shifts = sorted(itertools.product(steps, steps), key=lambda s: s[0] ** 2 + s[1] ** 2)
    still = jax.lax.stop_gradient(inner)
    errors = [jnp.sum(jnp.abs(still - columns(rows(target, dy), dx)) * weight, (1, 2, 3)) for dy, dx in shifts]
    # The search takes no gradient of the target either.
    best = jnp.argmin(jax.lax.stop_gradient(jnp.stack(errors)), axis=0)
    chosen = jnp.asarray(shifts, jnp.int32)[best]  # [b, 2]

    def select(x: jax.Array, cut: Callable[[jax.Array, int], jax.Array], step: jax.Array) -> jax.Array:
        total = cut(x, 0)
        for s in steps:
            total = jnp.where((step == s)[:, None, None, None], cut(x, s), total)
        return total

    moved = select(select(target, rows, chosen[:, 0]), columns, chosen[:, 1])
    length = jnp.sqrt(jnp.sum(jnp.square(chosen.astype(jnp.float32)), -1))
    return weighted_sum(jnp.abs(inner - moved), weight), length
