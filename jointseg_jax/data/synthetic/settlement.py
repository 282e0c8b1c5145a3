"""Settling a plain: where its towns and villages lie, and how far they are built up."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, greens, homes, layout, village, works
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import EARLIEST, Landscape
from jointseg_jax.data.synthetic.survey import Survey

SMALLEST_WITH_TOWN = 420  # metres, the shorter side of a scene
TOWN_EVERY = 2.0e6  # square metres of land to one town
TOWN_REACH = 330.0  # metres from a town's centre to the centres of its outer quarters
FOR_VILLAGES = 0.035  # share of the scene that towns leave to villages to seal
BLOCK = (105.0, 80.0)  # metres
USES = (
    (homes.old_town, 5.0), (homes.slabs, 3.0), (works.market, 1.5), (greens.school, 1.0), (homes.villas, 1.0),
    (greens.park, 0.6), (greens.construction, 0.5), (works.industry, 1.0),
)  # fmt: skip


class Settlers:
    """Builds towns and villages into cells of farmland; `taken` lists land that stays free of them."""

    def __init__(
        self, land: Landscape, rng: np.random.Generator, warp: geometry.Warp, taken: list[shapely.Geometry]
    ) -> None:
        self._land, self._rng, self._warp, self._taken = land, rng, warp, taken
        self._survey = Survey(land)
        self._built = 0

    def settle(self, cells: list[np.ndarray], target: float) -> None:
        """Build towns, then villages, until the sealed share of the scene reaches a target."""
        shape = self._land.shape
        towns = max(1, round(shape[0] * shape[1] / TOWN_EVERY)) if min(shape) >= SMALLEST_WITH_TOWN else 0
        free = list(cells)
        for _ in range(towns):
            if len(free) <= 2:
                break
            centre = free[-1].mean(axis=0)
            reach = TOWN_REACH * self._rng.uniform(0.5, 1.2, len(free))
            away = np.array([np.hypot(*(ring.mean(axis=0) - centre)) for ring in free])
            for ring in [ring for ring, inside in zip(free, away < reach, strict=True) if inside]:
                self._town(ring, target - FOR_VILLAGES)
            free = [ring for ring, inside in zip(free, away < reach, strict=True) if not inside]
        free = free or list(cells)
        for attempt in range(max(40, 12 * len(free))):
            missing = target - self._survey.share()
            if missing <= 0:
                break
            size = float(np.clip(missing * shape[0] * shape[1] / 0.45, 2500, 15000))
            self._village(free[attempt % len(free)], size)

    def _town(self, ring: np.ndarray, target: float) -> None:
        """Build up a cell with streets and blocks, unless or until the scene is sealed to a target."""
        if self._survey.share() > target:
            return
        rng, warp = self._rng, self._warp
        sides = np.roll(ring, -1, axis=0) - ring
        longest = sides[int(np.argmax(np.hypot(*sides.T)))]
        blocks, cuts = layout.grid(rng, ring, float(np.arctan2(longest[1], longest[0])), *BLOCK)
        barrier = shapely.union_all(self._taken)
        for cut in cuts:
            for line in layout.clip_roads([warp.line(cut.line)], barrier):
                self._land.road(line, 10.0 if cut.level == 0 else 7.5, EARLIEST, "street")
        tree, areas = self._survey.taken(self._taken)
        weights = np.cumsum([weight for _, weight in USES])
        for block in blocks:
            if self._survey.share() > target + FOR_VILLAGES / 2:
                break
            for polygon in layout.pieces(warp.ring(block), tree, areas):
                use = USES[int(np.searchsorted(weights, rng.random() * weights[-1]))][0]
                if polygon.area < 700:
                    use = greens.parking if rng.random() < 0.5 else greens.park
                self._built += 1
                year = village.year_of("midstream", (village.GOLDEN * self._built) % 1.0)
                own = np.random.default_rng(int(rng.integers(2**31)))
                use(self._land, Block(polygon, year, rng.uniform(0.2, 0.7), own))

    def _village(self, ring: np.ndarray, size: float) -> None:
        """Build a village of `size` square metres into a cell, along one of the roads around it."""
        rng = self._rng
        side = int(rng.integers(len(ring)))
        a, b = ring[side], ring[(side + 1) % len(ring)]
        length = float(np.hypot(*(b - a)))
        t = (b - a) / max(length, 1e-6)
        inward = np.array([-t[1], t[0]])
        if (ring.mean(axis=0) - a) @ inward < 0:
            inward = -inward
        stretch = rng.uniform(1.2, 2.0)
        half = np.sqrt(size / (3.4 * stretch))
        centre = a + t * length * rng.uniform(0.25, 0.75) + inward * (0.75 * half + 4)
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        lobes = rng.uniform(0, 6, 2)
        radii = half * (1 + 0.16 * np.cos(2 * angles + lobes[0]) + 0.1 * np.cos(3 * angles + lobes[1]))
        outline = np.stack([stretch * np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
        place = geometry.Frame(self._warp(centre[None])[0], float(np.arctan2(t[1], t[0])), 1, 1)
        area = shapely.Polygon(place.place(outline)).buffer(0).intersection(self._warp.ring(ring))
        roads = self._survey.roads()
        for polygon in layout.pieces(area, *self._survey.taken(self._taken), 300):
            village.village(self._land, Block(polygon, EARLIEST, 0.5, rng), rng.normal(0, 0.1), roads)
        self._taken.append(area.buffer(6))
