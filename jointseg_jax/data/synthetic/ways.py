"""Finding the course of roads in the mountains."""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from jointseg_jax.data.synthetic import geometry, noise, terrain

STEEPEST = 0.11  # grade above which a road becomes expensive
FORD = 40.0  # how much dearer a metre is over water


class Ways:
    """Finds roads over a relief: short ones that avoid steep grades, water and existing houses."""

    def __init__(self, elevation: np.ndarray, water: np.ndarray, rng: np.random.Generator):
        self.shape = elevation.shape
        start, end, length = terrain.edges_of(self.shape, terrain.SIXTEEN)
        z = elevation.ravel().astype(float)
        grade = np.abs(z[start] - z[end]) / (10.0 * length)
        rough = np.exp(0.35 * noise.fractal(rng, self.shape, longest=30, shortest=4, slope=2.0)).ravel()
        wet = water.ravel()
        cost = length * (rough[start] + (grade / STEEPEST) ** 2 + (grade / (2 * STEEPEST)) ** 6) * (1 + FORD * wet[end])
        self._graph = sparse.coo_matrix((cost, (start, end)), shape=(z.size, z.size)).tocsr()

    def _index(self, points: np.ndarray) -> np.ndarray:
        cols = np.clip((points[:, 0] / 10).astype(int), 0, self.shape[1] - 1)
        rows = np.clip((points[:, 1] / 10).astype(int), 0, self.shape[0] - 1)
        return rows * self.shape[1] + cols

    def to(self, targets: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
        """Return for each start point [n, 2] the smoothed path [m, 2] to the nearest of the target points."""
        _, previous, _ = csgraph.dijkstra(
            self._graph,
            directed=False,
            indices=np.unique(self._index(targets)),
            min_only=True,
            return_predecessors=True,
        )
        paths = []
        for node in self._index(starts):
            chain = [int(node)]
            while previous[chain[-1]] >= 0:
                chain.append(int(previous[chain[-1]]))
            rows, cols = np.divmod(np.array(chain), self.shape[1])
            path = np.stack([cols * 10.0 + 5.0, rows * 10.0 + 5.0], axis=1)
            if len(path) > 1:
                nearest = targets[np.argmin(np.hypot(*(targets - path[-1]).T))]
                paths.append(smoothed(np.concatenate([path, nearest[None]])))
        return paths


def smoothed(path: np.ndarray) -> np.ndarray:
    """Round a path found on the lattice into a road, its ends kept."""
    line = geometry.resample(path, 6.0)
    inner = ndimage.gaussian_filter1d(line, 2.2, axis=0, mode="nearest")
    inner[0], inner[-1] = line[0], line[-1]
    return geometry.chaikin(geometry.resample(inner, 8.0), 1)
