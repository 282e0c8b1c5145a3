"""Settlements: streets and blocks of cities and towns, villages on the plain, and hamlets along mountain roads."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.landscape import city_blocks, geometry, roads, uses
from jointseg_jax.landscape.city_blocks import Block, year_of
from jointseg_jax.landscape.geometry import Frame, Warp
from jointseg_jax.landscape.model import EARLIEST, Landscape
from jointseg_jax.landscape.noise import choose
from jointseg_jax.landscape.survey import Survey
from jointseg_jax.landscape.uses import Use


@dataclass(frozen=True)
class District:
    """A kind of district: sides of its blocks and width of its streets (metres), uses of its blocks with weights."""

    along: float
    across: float
    street: float
    uses: dict[Use, float]


SLABS = District(170, 120, 12, {uses.slabs: 8, uses.towers: 1, uses.school: 1.2, uses.park: 0.8, uses.commerce: 0.8})
TOWERS = District(175, 135, 13, {uses.towers: 6, uses.slabs: 3, uses.commerce: 1.5, uses.school: 1, uses.park: 1})
OLD_TOWN = District(
    82, 62, 9, {uses.old_town: 12, uses.slabs: 1, uses.market: 0.5, uses.school: 0.5, uses.parking: 0.5}
)
INDUSTRY = District(230, 150, 12, {uses.industry: 11, uses.market: 1, uses.parking: 0.6})
CENTRE = District(130, 105, 14, {uses.commerce: 7, uses.towers: 2, uses.park: 1, uses.parking: 1.2, uses.slabs: 2})
VILLAS = District(180, 115, 9, {uses.villas: 8, uses.slabs: 2, uses.park: 0.8})
CITY = (SLABS, OLD_TOWN, INDUSTRY, TOWERS, CENTRE, SLABS, VILLAS, INDUSTRY)
TOWN = District(
    105, 80, 10,
    {
        uses.old_town: 5, uses.slabs: 3, uses.market: 1.5, uses.school: 1, uses.villas: 1, uses.park: 0.6,
        uses.industry: 1,
    },
)  # fmt: skip
GREEN_USES: tuple[Use, ...] = (uses.park, uses.slabs)
DENSE_USES: tuple[Use, ...] = (uses.market, uses.industry, uses.commerce)
TYPICAL_SHARE = 0.6  # sealed share of blocks if their uses are drawn freely
LATE_SHARE = 0.05  # share of the scene above which a block is there from the start
PORT_SHARE = 0.12  # share of the built-up land that one block of the port takes at most
PORT_REACH = 30.0  # metres from the river's corridor within which industry is a port
SMALLEST_WITH_TOWN = 420  # metres, the shorter side of a scene
TOWN_EVERY = 2.0e6  # square metres of land to one town
TOWN_REACH = 330.0  # metres from a town's centre to the centres of its outer quarters
FOR_VILLAGES = 0.035  # share of the scene that towns leave to villages to seal
HAMLET_REACH = 120.0  # metres from the middle of a hamlet to its last house
HAMLET_ROWS = (9.5, 26.0)  # metres from a road to the houses beside it, and to those behind them
APART = 14.5  # metres between the middles of two houses of a hamlet


def _use(rng: np.random.Generator, district: District, area: float, excess: float, port: bool) -> Use:
    """Choose the use of a block; `excess` is how far the city is more sealed (above 0) or greener than wanted."""
    if area < 900:
        return uses.parking if excess < 0 and area > 500 else uses.park
    if port and district is INDUSTRY and area > 4000:
        return uses.containers
    if excess > 0.05 and rng.random() < 0.4 + 2.0 * excess:
        return GREEN_USES[int(rng.integers(len(GREEN_USES)))]
    if excess < -0.07 and rng.random() < 0.6:
        return DENSE_USES[int(rng.integers(len(DENSE_USES)))]
    return choose(rng, district.uses)


class Settlers:
    """Builds settlements into a landscape; `taken` lists land that stays free of them."""

    def __init__(self, land: Landscape, rng: np.random.Generator, taken: list[shapely.Geometry]):
        self._land, self._rng, self._taken = land, rng, taken
        self.survey = Survey(land)
        self._draw = rng.random()
        self._houses = np.zeros((0, 2))

    def _later(self) -> int:
        """Return the year of the next block: a golden sequence spreads the years evenly."""
        self._draw = (self._draw + city_blocks.GOLDEN) % 1.0
        return year_of(self._land.region, self._draw)

    def quarters(
        self, cells: list[tuple[District, shapely.Polygon]], warp: Warp, barrier: shapely.Geometry
    ) -> list[tuple[District, shapely.Polygon]]:
        """Lay the streets of districts into cells and return the plots between them; no street crosses `barrier`."""
        rng, rings = self._rng, []
        for district, cell in cells:
            angle = geometry.longest_side(cell) + (rng.normal(0, 0.25) if rng.random() < 0.2 else 0.0)
            inner, cuts = geometry.grid(rng, cell, angle, district.along, district.across)
            leafy = district is not TOWN and rng.random() < 0.75
            for cut in cuts:
                width = district.street if cut.level == 0 else max(7.5, district.street - 2.5)
                for line in roads.clip(warp(cut.line), barrier):
                    roads.lay(self._land, rng, line, "street", width, -0.9 if leafy and width >= 9 else None)
            rings += [(district, warp(block)) for block in inner]
        plots = self.survey.plots([ring for _, ring in rings], self._taken)
        return [
            (district, plot)
            for (district, _), parts in zip(rings, plots, strict=True)
            for plot in parts
            if plot.intersects(self._land.frame)
        ]

    def fill(
        self,
        plots: list[tuple[District, shapely.Polygon]],
        density: float | None = None,
        limit: float = 1.0,
        shore: shapely.Geometry | None = None,
    ) -> None:
        """Give plots a use and a year, in random order.

        Args:
            plots: land between streets and the district it lies in.
            density: the sealed share of the scene that uses are chosen for; None draws them freely.
            limit: the sealed share of the scene beyond which nothing is built.
            shore: the river and its banks; industry along it is a port.
        """
        rng, scene = self._rng, self._land.frame
        total, before = sum(float(plot.intersection(scene).area) for _, plot in plots) or 1.0, self.survey.sealed()
        target = float(np.clip((density * scene.area - before) / total, 0.3, 0.88)) if density else TYPICAL_SHARE
        done = 0.0
        for number in rng.permutation(len(plots)).tolist():
            if self.survey.share() > limit:
                break
            district, plot = plots[number]
            excess = (self.survey.sealed() - before) / done if done and density else TYPICAL_SHARE
            excess -= target
            year = self._later() if plot.area < LATE_SHARE * scene.area else EARLIEST
            green = float(np.clip(0.5 + 3.0 * excess, 0.0, 1.0))
            block = Block(self._land, plot, np.random.default_rng(int(rng.integers(2**31))), year, green)
            port = shore is not None and plot.distance(shore) < PORT_REACH and plot.area < PORT_SHARE * total
            use = _use(rng, district, plot.area, excess, port)
            if year > EARLIEST:
                uses.earthworks(block, year - 2, year)
            use(block)
            done += float(plot.intersection(scene).area)

    def settle(self, cells: list[shapely.Polygon], warp: Warp, target: float) -> None:
        """Build towns, then villages, until the sealed share of the scene reaches a target."""
        rng, (height, width) = self._rng, self._land.shape
        towns = max(1, round(height * width / TOWN_EVERY)) if min(height, width) >= SMALLEST_WITH_TOWN else 0
        free = list(cells)
        for _ in range(towns):
            centre = free[-1].centroid
            town = [cell for cell in free if cell.centroid.distance(centre) < TOWN_REACH * rng.uniform(0.5, 1.2)]
            if len(free) - len(town) < 2:
                break
            free = [cell for cell in free if cell not in town]
            for cell in sorted(town, key=lambda cell: cell.centroid.distance(centre)):
                if self.survey.share() < target - FOR_VILLAGES:
                    plots = self.quarters([(TOWN, cell)], warp, shapely.union_all(self._taken))
                    self.fill(plots, limit=target - FOR_VILLAGES / 2)
        for attempt in range(max(40, 12 * len(free))):
            missing = target - self.survey.share()
            if missing <= 0:
                break
            self._village(free[attempt % len(free)], warp, float(np.clip(missing * height * width / 0.45, 2500, 15000)))

    def _village(self, cell: shapely.Polygon, warp: Warp, size: float) -> None:
        """Build a village of about `size` square metres into a cell, along one of the roads around it."""
        rng = self._rng
        ring = shapely.get_coordinates(cell.exterior.normalize())
        side = int(rng.integers(len(ring) - 1))
        a, b = ring[side], ring[side + 1]
        along = Frame(a, float(np.arctan2(b[1] - a[1], b[0] - a[0])))
        stretch = rng.uniform(1.2, 2.0)
        half = np.sqrt(size / (3.4 * stretch))
        reach = rng.uniform(0.25, 0.75) * np.hypot(*(b - a))
        centres = [along.place((reach, inward * (0.75 * half + 4))) for inward in (-1, 1)]
        centre = min(centres, key=lambda point: cell.centroid.distance(shapely.Point(point)))
        area = geometry.blob(rng, warp.points(centre[None])[0], half, stretch, along.angle).intersection(warp(cell))
        network = shapely.GeometryCollection(self.survey.roads())
        for plot in self.survey.plots([area], self._taken, 300)[0]:
            block = Block(self._land, plot, rng, grows=True)
            first = len(self._land.features)
            city_blocks.rows(block, city_blocks.VILLAGE)
            beds = block.somewhere(int(plot.area / 900))
            self._land.spots(rng, beds, (4, 9), ("vegetables", "dirt", "crop", "lawn"), plot)
            block.plant(8.5, (1.3, 3.6))
            for edge in geometry.polygons_of(plot.buffer(6).difference(plot.buffer(-4))):
                block.part(edge).plant(7.0, (1.5, 3.6))
            lanes = [f for f in self._land.features[first:] if f.name == "lane" and f.year_built == EARLIEST]
            self._connect([f.geometry for f in lanes], network)
        self._taken.append(area.buffer(6))

    def _connect(self, lanes: list[shapely.LineString], network: shapely.Geometry) -> None:
        """Lead the lanes of a village on to the nearest road."""
        if not lanes or network.is_empty:
            return
        way = shapely.get_coordinates(shapely.shortest_line(shapely.MultiLineString(lanes), network))
        length = float(np.hypot(*(way[1] - way[0])))
        if 0.1 < length < 250.0:
            way[1] += (way[1] - way[0]) / length * 2.0
            self._land.road(way, 3.6, "lane")

    def hamlet(self, site: np.ndarray, network: list[np.ndarray], budget: float) -> float:
        """Build houses along the roads near a site until `budget` square metres are sealed; return what was sealed.

        `network` lists roads [n, 2]; a budget of 0 gives a single farm.
        """
        land, rng, spent = self._land, self._rng, 0.0
        barrier = shapely.STRtree([f.area for f in land.features if f.kind == "road"] + self._taken)
        for point, normal, row in self._spots(site, network):
            if spent > budget:
                break
            centre = point + normal * (row + rng.uniform(-0.5, 2))
            turn = float(np.arctan2(-normal[1], -normal[0]) - np.pi / 2) + rng.normal(0, 0.06)
            frame = Frame(centre, turn, rng.uniform(9.5, 14.0), rng.uniform(7.2, 9.6))
            lane = np.stack([point, centre - normal * 7.0])
            away = np.hypot(*(self._houses - centre).T)
            near = shapely.points(self._houses[away < 60])
            crossed = row == HAMLET_ROWS[1] and (shapely.distance(near, shapely.LineString(lane)) < 8.0).any()
            taken = barrier.query(frame.polygon(0, 0, 15.0, 11.0), predicate="intersects").size
            if crossed or taken or (away < APART).any():
                continue
            first, year = len(land.features), year_of(land.region, rng.random())
            land.building(frame.outline, rng.choice(city_blocks.VILLAGE.heights), "house", year)
            city_blocks.yard(land, rng, frame, year, frame.polygon(0, 0, 40, 40))
            self._houses = np.concatenate([self._houses, centre[None]])
            land.spots(rng, centre[None], (8, 10), ("garden", "dirt", "vegetables", "garden"), land.frame, year)
            if row == HAMLET_ROWS[1]:
                land.road(lane, 3.0, "lane", year)
            spent += shapely.union_all([f.area for f in land.features[first:]]).area
        return spent

    def _spots(self, site: np.ndarray, network: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """List places for houses, from the site outwards: point on the road, way off the road, distance."""
        spots = []
        for road in network:
            line = geometry.resample(road, 5.0)
            away = np.hypot(*(line - site).T)
            for number in np.flatnonzero(away < HAMLET_REACH).tolist():
                tangent = geometry.tangents(line)[number]
                for normal in (np.array([-tangent[1], tangent[0]]), np.array([tangent[1], -tangent[0]])):
                    for row in HAMLET_ROWS:
                        order = away[number] + 0.8 * row + 40 * self._rng.random()
                        spots.append((order, (line[number], normal, row)))
        return [spot for _, spot in sorted(spots, key=lambda spot: spot[0])]
