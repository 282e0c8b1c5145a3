"""Hamlets and farmsteads along the roads of the mountains."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, greens, village
from jointseg_jax.data.synthetic.model import Landscape, Patch

REACH = 120.0  # metres from the middle of a hamlet to its last house
ROWS = (9.5, 26.0)  # metres from a road to the houses beside it, and to those behind them
PLOT = (15.0, 11.0)  # metres that a house needs at least


class Builder:
    """Builds houses where there is room, and remembers where it has built."""

    def __init__(self, land: Landscape, rng: np.random.Generator, taken: shapely.Geometry):
        self._land, self._rng = land, rng
        self._taken = taken
        self._plots: list[shapely.Polygon] = []
        shapely.prepare(taken)

    def _free(self, area: shapely.Geometry, plots: np.ndarray) -> bool:
        return not area.intersects(self._taken) and not bool(shapely.intersects(plots, area).any())

    def _house(self, frame: geometry.Frame, year: int) -> bool:
        """Build a homestead at the origin of a frame, its yard towards +v; return whether it fits."""
        length, room = self._rng.uniform(9.5, 14.0), frame.polygon(0, 0, 40, 40)
        built = village.homestead(self._land, self._rng, frame, 0, 0, length, 0.05, year, room)
        if built:
            self._plots.append(frame.polygon(0, 0, *PLOT))
        return built

    def farm(self, end: np.ndarray) -> None:
        """Build a farmstead where a lane ends."""
        year = village.year_of("upstream", self._rng.random())
        yard = greens.blob(self._rng, end, 12.0, 1.3)
        self._land.patches.append(Patch(yard, "dirt", tone=self._rng.uniform(-0.8, 0.3), year=year))
        plots = np.array(self._plots, object)
        for turn in np.arange(0, 2 * np.pi, np.pi / 4) + self._rng.uniform(0, 1):
            centre = end + 11.0 * np.array([np.cos(turn), np.sin(turn)])
            frame = geometry.Frame(centre, turn + np.pi / 2, 1, 1)
            if self._free(frame.polygon(0, 0, *PLOT), plots) and self._house(frame, year):
                return

    def _spots(self, site: np.ndarray, roads: list[np.ndarray]) -> list[tuple[float, np.ndarray, np.ndarray, float]]:
        """List places for houses: how far out they are, the point on the road, the way off the road, the distance."""
        spots = []
        for road in roads:
            line = geometry.resample(road, 5.0)
            for point, tangent in zip(line, geometry.tangents(line), strict=True):
                away = float(np.hypot(*(point - site)))
                if away < REACH:
                    for side in (-1, 1):
                        normal = np.array([-tangent[1], tangent[0]]) * side
                        spots += [(away + 0.8 * row + 40 * self._rng.random(), point, normal, row) for row in ROWS]
        return sorted(spots, key=lambda spot: spot[0])

    def hamlet(self, site: np.ndarray, roads: list[np.ndarray], budget: float) -> float:
        """Build houses along the roads near a site until a budget of square metres is spent; return what was spent."""
        spent = 0.0
        for _, point, normal, row in self._spots(site, roads):
            if spent > budget:
                break
            centre = point + normal * (row + self._rng.uniform(-0.5, 2))
            turn = float(np.arctan2(-normal[1], -normal[0]) - np.pi / 2) + self._rng.normal(0, 0.06)
            frame = geometry.Frame(centre, turn, 1, 1)
            near = np.array([p for p in self._plots if abs(p.centroid.x - centre[0]) < 60], object)
            lane = np.stack([point, centre - normal * 7.0])
            if not self._free(frame.polygon(0, 0, *PLOT), near):
                continue
            if row == ROWS[1] and bool(shapely.intersects(near, shapely.LineString(lane).buffer(2.0)).any()):
                continue
            year = village.year_of("upstream", self._rng.random())
            first = len(self._land.features)
            if self._house(frame, year):
                look = str(self._rng.choice(["garden", "dirt", "vegetables", "garden"]))
                ground = greens.blob(self._rng, centre, 9.0, 1.3)
                self._land.patches.append(Patch(ground, look, tone=self._rng.uniform(-0.8, 0.5), year=year))
                if row == ROWS[1]:
                    self._land.road(lane, 3.0, year, "lane")
                spent += shapely.union_all([f.area() for f in self._land.features[first:]]).area
        return spent
