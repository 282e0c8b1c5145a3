"""Relief on the 10 m lattice: mountains drained by a network of valleys, and plains with a river."""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from jointseg_jax.data.synthetic import noise

CELL = 5.0
MARGIN = 50  # cells computed beyond the scene on each side, so that its edge is not a ridge
STEEPNESS, CONCAVITY = 1.55, 0.27  # slope of a channel is STEEPNESS * (cells drained) ** -CONCAVITY
TALUS = 0.66  # steepest hillslope, rise over run


def edges_of(shape: tuple[int, int], steps: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the edges of a lattice graph: start and end node indices, and length in cells.

    `steps` gives half of the neighbourhood, (rows, columns); the graph is meant to be undirected.
    """
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    starts, ends, lengths = [], [], []
    for dy, dx in steps:
        rows = slice(max(0, -dy), shape[0] - max(0, dy))
        cols = slice(max(0, -dx), shape[1] - max(0, dx))
        to_rows = slice(rows.start + dy, rows.stop + dy)
        to_cols = slice(cols.start + dx, cols.stop + dx)
        starts.append(index[rows, cols].ravel())
        ends.append(index[to_rows, to_cols].ravel())
        lengths.append(np.full(starts[-1].size, np.hypot(dy, dx)))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(lengths)


EIGHT = ((0, 1), (1, 0), (1, 1), (1, -1))
SIXTEEN = (*EIGHT, (1, 2), (2, 1), (1, -2), (2, -1))


def _drain(resistance: np.ndarray, outlets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let every cell drain to the outlets along its path of least resistance; return receivers and the order."""
    start, end, length = edges_of(resistance.shape, SIXTEEN)
    flat = resistance.ravel()
    weight = length * 0.5 * (flat[start] + flat[end])
    graph = sparse.coo_matrix((weight, (start, end)), shape=(flat.size, flat.size)).tocsr()
    distance, receiver, _ = csgraph.dijkstra(
        graph, directed=False, indices=np.flatnonzero(outlets), min_only=True, return_predecessors=True
    )
    return receiver, np.argsort(distance, kind="stable")


def _raise(receiver: np.ndarray, order: np.ndarray, base: np.ndarray, flat: np.ndarray, steep: float) -> np.ndarray:
    """Build the elevation of a landscape in balance: slopes that lessen with the area drained (stream-power law)."""
    shape = base.shape
    count = base.size
    area = [1.0] * count
    receivers = receiver.tolist()
    upward = order.tolist()
    for node in reversed(upward):
        if receivers[node] >= 0:
            area[receivers[node]] += area[node]
    gradient = np.minimum(TALUS, steep * np.asarray(area) ** -CONCAVITY) * flat.ravel()
    rows, cols = np.divmod(np.arange(count), shape[1])
    to = np.where(receiver >= 0, receiver, np.arange(count))
    rise = (CELL * np.hypot(rows - rows[to], cols - cols[to]) * gradient).tolist()
    height = base.ravel().tolist()
    for node in upward:
        if receivers[node] >= 0:
            height[node] = height[receivers[node]] + rise[node]
    return np.asarray(height).reshape(shape)


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
    shape = channel.shape
    rough = np.exp(0.9 * noise.fractal(rng, shape, longest=60, shortest=3, slope=2.2))
    hard = noise.fractal(rng, shape, longest=90, shortest=20, slope=2.5)
    slope = (0.03 + 0.97 * floor) * np.exp(0.22 * hard)
    receiver, order = _drain(rough, channel)
    relief = _raise(receiver, order, bed, slope, STEEPNESS)
    # Further passes drain the smoothed relief, so that valleys follow the slope and lose the lattice's directions.
    for blur in (14.0, 9.0):
        smooth = ndimage.gaussian_filter(relief, blur)
        curvature = ndimage.gaussian_laplace(smooth, 5.0)
        curvature /= curvature.std() + 1e-9
        receiver, order = _drain(np.exp(-1.6 * curvature) * rough**0.3, channel)
        relief = _raise(receiver, order, bed, slope, STEEPNESS)
    relief = 0.6 * ndimage.gaussian_filter(relief, 9.0) + 0.4 * ndimage.gaussian_filter(relief, 1.6)
    return relief.astype(np.float32)


def refine(elevation: np.ndarray, factor: int) -> np.ndarray:
    """Bring a 10 m relief to a finer lattice by cubic splines; float32 [rows * factor, cols * factor]."""
    return ndimage.zoom(elevation.astype(np.float32), factor, order=3, mode="nearest", grid_mode=True)
