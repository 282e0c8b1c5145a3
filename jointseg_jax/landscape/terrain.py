"""Relief of mountains drained by a network of valleys, and least-cost paths for roads over it."""

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from jointseg_jax.landscape import geometry, noise

CELL = 5.0  # metres
MARGIN = 50  # cells computed beyond the scene on each side, so that its edge is not a ridge
STEEPNESS, CONCAVITY = 1.55, 0.27  # slope of a channel is STEEPNESS * (cells drained) ** -CONCAVITY
TALUS = 0.66  # steepest hillslope, rise over run
STEEPEST = 0.11  # slope above which a road becomes expensive
FORD = 10.0  # how much more a metre of road costs over water


def _drain(resistance: np.ndarray, outlets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let every cell drain to the outlets along its path of least resistance.

    Returns:
        The cell that each cell drains to, -1 for outlets, and the order of the cells from the outlets upwards; both
        are flat.
    """
    paths = MCP_Geometric(resistance)
    cost, step = paths.find_costs(np.argwhere(outlets))
    offsets = np.array([dy * resistance.shape[1] + dx for dy, dx in paths.offsets])
    receiver = np.arange(cost.size) - offsets[np.maximum(step.ravel(), 0)]
    return np.where(step.ravel() < 0, -1, receiver), np.argsort(cost, axis=None, kind="stable")


def _raise(receiver: np.ndarray, order: np.ndarray, base: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return the elevation in balance: slopes decrease with the area drained (stream-power law)."""
    area = [1.0] * base.size
    receivers, upward = receiver.tolist(), order.tolist()
    for node in reversed(upward):
        if receivers[node] >= 0:
            area[receivers[node]] += area[node]
    gradient = np.minimum(TALUS, STEEPNESS * np.asarray(area) ** -CONCAVITY) * flat.ravel()
    here = np.arange(base.size)
    rows, cols = np.divmod(here, base.shape[1])
    to = np.where(receiver >= 0, receiver, here)
    rise = (CELL * np.hypot(rows - rows[to], cols - cols[to]) * gradient).tolist()
    height = base.ravel().tolist()
    for node in upward:
        if receivers[node] >= 0:
            height[node] = height[receivers[node]] + rise[node]
    return np.asarray(height).reshape(base.shape)


def mountains(rng: np.random.Generator, channel: np.ndarray, floor: np.ndarray, bed: np.ndarray) -> np.ndarray:
    """Build dissected mountains above a river.

    Args:
        rng: the generator that is drawn from.
        channel: bool [rows, cols], the cells of the river.
        floor: float [rows, cols], 0 on the flat valley floor to 1 on the slopes.
        bed: float [rows, cols], the elevation of the river's bed, metres.

    Returns:
        float32 [rows, cols], metres.
    """
    rough = np.exp(0.9 * noise.fractal(rng, channel.shape, longest=60, shortest=3, slope=2.2))
    hard = noise.fractal(rng, channel.shape, longest=90, shortest=20, slope=2.5)
    slope = (0.03 + 0.97 * floor) * np.exp(0.22 * hard)
    relief = _raise(*_drain(rough, channel), bed, slope)
    # Further passes drain the smoothed relief, so that valleys follow the slope and lose the lattice's directions.
    for blur in (14.0, 9.0):
        curvature = ndimage.gaussian_laplace(ndimage.gaussian_filter(relief, blur), 5.0)
        curvature /= curvature.std() + 1e-9
        relief = _raise(*_drain(np.exp(-1.6 * curvature) * rough**0.3, channel), bed, slope)
    relief = 0.6 * ndimage.gaussian_filter(relief, 9.0) + 0.4 * ndimage.gaussian_filter(relief, 1.6)
    return relief.astype(np.float32)


def refine(values: np.ndarray, factor: int) -> np.ndarray:
    """Bring values to a finer lattice by cubic splines; float32 [rows * factor, cols * factor]."""
    return ndimage.zoom(values.astype(np.float32), factor, order=3, mode="nearest", grid_mode=True)


class Paths:
    """Least-cost paths for roads over a relief at 10 m: short ones that avoid slopes and water."""

    def __init__(self, slope: np.ndarray, water: np.ndarray, rng: np.random.Generator):
        rough = np.exp(0.35 * noise.fractal(rng, slope.shape, longest=30, shortest=4, slope=2.0))
        self._cost = rough + (slope / STEEPEST) ** 2 + (slope / (2 * STEEPEST)) ** 6
        self._cost = np.minimum(self._cost, 200.0) * (1 + FORD * water)

    def _cells(self, points: np.ndarray) -> np.ndarray:
        return np.clip((points[:, ::-1] / 10).astype(int), 0, np.array(self._cost.shape) - 1)

    def to(self, targets: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
        """Return for each start point [n, 2] the smoothed path [m, 2] to the nearest of the target points [k, 2]."""
        paths = MCP_Geometric(self._cost)
        paths.find_costs(np.unique(self._cells(targets), axis=0))
        found = []
        for cell in self._cells(starts):
            path = np.array(paths.traceback(cell))[::-1, ::-1] * 10.0 + 5.0
            if len(path) > 1:
                nearest = targets[np.argmin(np.hypot(*(targets - path[-1]).T))]
                found.append(smoothed(np.concatenate([path, nearest[None]])))
        return found


def smoothed(path: np.ndarray) -> np.ndarray:
    """Round a path found on the lattice into a road, its ends kept."""
    line = geometry.resample(path, 6.0)
    inner = ndimage.gaussian_filter1d(line, 2.2, axis=0, mode="nearest")
    inner[0], inner[-1] = line[0], line[-1]
    return geometry.chaikin(geometry.resample(inner, 8.0), 1)
