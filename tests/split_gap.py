"""The distance between the ground of different splits, for tests of the gap."""

import numpy as np
from scipy import ndimage

from jointseg_jax.data.prepare.splits import CODES


def gap_between(codes: np.ndarray) -> int | None:
    """The smallest distance in pixels between ground of two different splits, None where only one is present.

    Distance counts the free pixels between them, in the larger of row and column distance.
    """
    present = [c for c in CODES.values() if (codes == c).any()]
    distances = [
        int(ndimage.distance_transform_cdt(codes != a, metric="chessboard")[codes == b].min()) - 1
        for i, a in enumerate(present)
        for b in present[i + 1 :]
    ]
    return min(distances, default=None)
