"""The joint objective: the losses and their weighted sum.

    total = w_sr * sum_k w_k L1_k  +  r(step) * (w_ce CE + w_dice Dice + w_boundary boundary)  +  w_affinity affinity

CE is the positive-unlabelled risk where labels are incomplete. Learned uncertainties can weight the first two groups
instead. A loss of weight zero is not computed.
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.jointseg import Outputs
from jointseg_jax.training.losses import basic, optional, weighting
from jointseg_jax.training.losses.masked_mean import normalise, weighted_sum

WEIGHTINGS = ("fixed", "uncertainty")
TASKS = ("segmentation", "sr")


@dataclasses.dataclass(frozen=True)
class Objective:
    """The joint objective of generator and segmenter.

    Attributes:
        std: [3], divides image differences, to give the L1 of reflectance and of a display stretch the same scale.
        sr: weight of the sum over stages of their L1.
        stages: weight of each stage's L1.
        cross_entropy: weight of the mean over labelled pixels.
        dice: weight of the mean over samples of 1 - Dice of the impervious class.
        class_weights: of the cross-entropy, one per class; empty for equal weights.
        completeness: share of the impervious ground that is labelled; below 1 the cross-entropy is the
            positive-unlabelled risk, see `optional.positive_unlabelled`.
        boundary: weight of the cross-entropy near edges of the label.
        boundary_reach: distance of these pixels from an edge, in 1 m pixels.
        affinity: weight of the feature affinity between SR branch and segmenter.
        affinity_grid: number of cells down a patch for the affinity.
        shift: metres within which the L1 searches the best whole-pixel shift of the target; 0: no search.
        weighting: of the two tasks, "fixed" or "uncertainty" (learned, Kendall et al. 2018).
        segmentation_start: step before which segmentation has no weight.
        segmentation_ramp: steps over which that weight rises from zero.
    """

    std: tuple[float, ...]
    sr: float = 1.0
    stages: tuple[float, ...] = ()
    cross_entropy: float = 1.0
    dice: float = 1.0
    class_weights: tuple[float, ...] = ()
    completeness: float = 1.0
    boundary: float = 0.0
    boundary_reach: int = 3
    affinity: float = 0.0
    affinity_grid: int = 16
    shift: float = 0.0
    weighting: str = "fixed"
    segmentation_start: int = 0
    segmentation_ramp: int = 0

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the log variances in `params["loss"]`."""
        return TASKS if self.weighting == "uncertainty" else ()

    @property
    def needs_features(self) -> bool:
        """Whether the network must return its features."""
        return self.affinity > 0

    def weights(self, batch: Mapping[str, jax.Array], spacings: tuple[Fraction, ...]) -> dict[str, jax.Array]:
        """The weights of pixels, samples or pairs in each loss, from the masks of a whole batch; each set sums to 1.

        Args:
            batch: with `image_valid` and `label`.
            spacings: of the stages, metres.
        """
        label, found = batch["label"], {}
        valid = batch["image_valid"].astype(jnp.float32)[..., None]
        if self.cross_entropy:
            balance = self.class_weights
            known = optional.class_weight_map(label, balance) if balance else basic.labelled(label)
            found["cross_entropy" if self.completeness == 1 else "positive_unlabelled"] = known
        if self.dice:
            found["dice"] = basic.labelled_samples(label)
        if self.boundary:
            found["boundary"] = optional.boundary_band(label, self.boundary_reach)
        if self.affinity:
            found["affinity"] = optional.affinity_pairs(valid, self.affinity_grid)
        for number in self._resolved:
            spacing = spacings[number - 1]
            ((_, seen),) = basic.stage_targets(valid, valid, (spacing,))
            if reach := self._reach(spacing):
                seen = optional.shift_mask(seen, reach)
                found[f"shift_stage{number}"] = (jnp.sum(seen, (1, 2, 3)) > 0).astype(jnp.float32)
            found[f"l1_stage{number}"] = seen
        return {name: normalise(weight) for name, weight in found.items()}

    def losses(
        self, outputs: Outputs, batch: Mapping[str, jax.Array], weights: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """The losses of a batch, or the contributions of a piece of it; scalars.

        Args:
            outputs: of the network, images in physical units.
            batch: the batch or the piece, with `image`, `image_valid`, `label`.
            weights: of the whole batch, or the piece's part of them.
        """
        label, found = batch["label"], {}
        valid = batch["image_valid"].astype(jnp.float32)[..., None]
        for name in ("cross_entropy", "boundary"):
            if name in weights:
                found[name] = basic.cross_entropy(outputs.logits, label, weights[name])
        if (name := "positive_unlabelled") in weights:
            found[name] = optional.positive_unlabelled(outputs.logits, label, weights[name], self.completeness)
        if self.dice:
            found["dice"] = basic.dice(outputs.logits, label, weights["dice"])
        if self.affinity:
            resolved, segmented = outputs.features
            pairs = weights["affinity"]
            found["affinity"] = optional.feature_affinity(resolved, segmented, valid, self.affinity_grid, pairs)
        std = np.asarray(self.std, np.float32)
        for number in self._resolved:
            spacing, weight = outputs.spacings[number - 1], weights[f"l1_stage{number}"]
            ((target, _),) = basic.stage_targets(batch["image"], valid, (spacing,))
            image, target = outputs.images[number - 1] / std, target / std
            if reach := self._reach(spacing):
                l1, length = optional.shift_tolerant_l1(image, target, weight, reach)
                found[f"shift_stage{number}"] = weighted_sum(length, weights[f"shift_stage{number}"])
            else:
                l1 = weighted_sum(jnp.abs(image - target), weight)
            found[f"l1_stage{number}"] = l1
        return found

    @property
    def _resolved(self) -> tuple[int, ...]:
        """Numbers, from 1, of the stages with an L1 of non-zero weight."""
        return tuple(k for k, weight in enumerate(self.stages, start=1) if weight) if self.sr else ()

    def _reach(self, spacing: Fraction) -> int:
        """`shift` in pixels of a stage's lattice."""
        return round(self.shift / float(spacing))

    def total(
        self, values: Mapping[str, jax.Array], learned: Mapping[str, jax.Array], step: jax.Array, share: float = 1.0
    ) -> jax.Array:
        """The number to minimise.

        Args:
            values: the losses.
            learned: the log variances by task; empty with fixed weighting.
            step: of training.
            share: the share of the batch in the values; totals of all pieces add up to the batch's.
        """
        zero = jnp.zeros((), jnp.float32)
        stages = enumerate(self.stages, start=1)
        sr = self.sr * sum((w * values[n] for k, w in stages if (n := f"l1_stage{k}") in values), zero)
        weights = dict.fromkeys(("cross_entropy", "positive_unlabelled"), self.cross_entropy)
        weights |= {"dice": self.dice, "boundary": self.boundary}
        segmentation = sum((w * values[name] for name, w in weights.items() if name in values), zero)
        if self.segmentation_start or self.segmentation_ramp:
            segmentation *= weighting.ramp(step, self.segmentation_start, self.segmentation_ramp)
        if self.weighting == "uncertainty":
            tasks = weighting.uncertainty_weighted({"sr": sr, "segmentation": segmentation}, learned, share)
        else:
            tasks = sr + segmentation
        return tasks + self.affinity * values["affinity"] if self.affinity else tasks
