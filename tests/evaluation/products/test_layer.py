"""Products on the map's grid and the map on the products' grids, against one point and one polygon at a time."""

import layouts
import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.given import parse
from jointseg_jax.evaluation.products.layer import Layer
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles

SIDE = 160
MAP = make_lattice(layouts.CRS, layouts.LEFT, layouts.TOP, 1, SIDE, SIDE)
ALL = Window(0, 0, SIDE, SIDE)


def look(path, name, classes=(), window=ALL, lattice=MAP, keys=""):
    handles = Handles()
    found = Layer(parse(f"{name}:{path}{keys}", (2018, 2018)), handles).look(lattice, window, classes)
    handles.close()
    return found


def classes_of(seed=0):
    """Blobs of built ground, and some that is unknown."""
    rng = np.random.default_rng(seed)
    classes = (rng.random((SIDE // 4, SIDE // 4)) < 0.4).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    classes[30:47, 50:93] = 255
    return classes


@pytest.mark.parametrize(
    ("layout", "keys"), [("worldcover", ""), ("esri", ""), ("dynamicworld", ",band=1"), ("ghsl", ""), ("ghsl10", "")]
)
def test_a_pixel_has_the_value_of_the_cell_that_holds_its_centre(tmp_path, layout, keys):
    lattice = layouts.grid(layout, SIDE)
    rng = np.random.default_rng(1)
    name = layout.removesuffix("10")
    codes = {"worldcover": (10, 50, 0), "esri": (2, 7, 10), "dynamicworld": (1, 6, 6)}.get(layout)
    values = rng.integers(0, 101, lattice.shape) if codes is None else rng.choice(codes, lattice.shape)
    path = layouts.write_product(tmp_path / "p.tif", layout, values, lattice)
    rows, cols = layouts.cell_of_centres(lattice, SIDE)
    seen = values[np.floor(rows).astype(int), np.floor(cols).astype(int)]
    if codes is None:
        full = 10_000 if layout == "ghsl" else 100
        expected = (seen / full).astype(np.float32)
    else:
        expected = np.where(seen == codes[2], np.nan, seen == codes[1]) if codes[2] != codes[1] else seen == codes[1]
    sure = (np.abs(rows - np.rint(rows)) > 1e-4) & (np.abs(cols - np.rint(cols)) > 1e-4)
    assert sure.mean() > 0.95
    found = look(path, name, keys=keys).fraction
    np.testing.assert_array_equal(found[sure], expected[sure])


@pytest.mark.parametrize("layout", ["worldcover", "ghsl10", "gisa", "dynamicworld"])
def test_cells_hold_the_area_of_the_map_within_them(tmp_path, layout):
    """Each cell as a polygon in the map's CRS, cut with every pixel that is built."""
    lattice = layouts.grid(layout, SIDE)
    values = np.full(lattice.shape, {"worldcover": 50, "gisa": 1, "dynamicworld": 6}.get(layout, 7))
    path = layouts.write_product(tmp_path / "p.tif", layout, values, lattice)
    classes = classes_of()
    (parts,) = look(path, layout.removesuffix("10"), [classes]).parts[0]
    boxes = shapely.box(
        *(np.indices((SIDE, SIDE)).reshape(2, -1)[::-1]), *(1 + np.indices((SIDE, SIDE)).reshape(2, -1)[::-1])
    )
    tree = shapely.STRtree(boxes)
    width = lattice.shape[1]
    worst = []
    for i in np.linspace(0, len(parts.key) - 1, 25).astype(int):
        row, col = divmod(int(parts.key[i]), width)
        x, y = ring(lattice, row, col)
        cell = shapely.Polygon(np.stack([x - layouts.LEFT, layouts.TOP - y], -1))
        near = tree.query(cell)
        shares = shapely.area(shapely.intersection(boxes[near], cell))
        seen = classes.ravel()[near]
        known, built = shares[seen != 255].sum(), shares[seen == 1].sum()
        assert parts.full[i] / per_pixel(layout) == pytest.approx(cell.area, rel=2e-3)
        if known > 0.5 * cell.area:
            worst.append(abs(parts.built[i] / parts.count[i] - built / known))
    assert len(worst) >= 15
    limit = 1e-9 if layout == "dynamicworld" else 0.02  # whole pixels; ninths of a pixel
    assert max(worst) < limit


def ring(lattice, row, col):
    u = col + np.array([0, 0.5, 1, 1, 1, 0.5, 0, 0])
    v = row + np.array([0, 0, 0, 0.5, 1, 1, 1, 0.5])
    a, _, c, _, e, f = lattice.affine[:6]
    x, y = a * u + c, e * v + f
    return (x, y) if str(lattice.crs) == layouts.CRS else transformer(lattice.crs.to_wkt(), layouts.CRS).transform(x, y)


def per_pixel(layout):
    return 9 if layout in ("worldcover", "ghsl10") else 1


def test_cells_smaller_than_pixels_are_averaged(tmp_path):
    lattice = layouts.grid("openbuildings", 20, margin=0)
    values = np.random.default_rng(0).random(lattice.shape).astype(np.float32)
    bands = ("building_fractional_count", "building_height", "building_presence")
    stack = np.stack([values * 0, values * 0 + 50, values], -1)
    path = layouts.write_product(tmp_path / "p.tif", "openbuildings", stack, lattice, bands)
    small = make_lattice(layouts.CRS, layouts.LEFT, layouts.TOP, 1, 20, 20)
    found = look(path, "openbuildings", [np.zeros((20, 20), np.uint8)], Window(0, 0, 20, 20), small)
    np.testing.assert_allclose(found.fraction, values.reshape(20, 2, 20, 2).mean((1, 3)), atol=1e-6)
    assert found.parts == [[]]


def test_tiles_of_a_product_are_one(tmp_path):
    """Cut through the map, with a column in both: no pixel is unknown and none counts twice."""
    lattice = layouts.grid("worldcover", SIDE)
    values = np.random.default_rng(2).choice([10, 50], lattice.shape)
    whole = layouts.write_product(tmp_path / "whole.tif", "worldcover", values, lattice)
    (tmp_path / "tiles").mkdir()
    middle = lattice.shape[1] // 2
    for name, cols in (("a", slice(0, middle + 1)), ("b", slice(middle, None))):
        part = lattice[:, cols]
        layouts.write_product(tmp_path / "tiles" / f"{name}.tif", "worldcover", values[:, cols], part)
    classes = classes_of()
    one, two = look(whole, "worldcover", [classes]), look(tmp_path / "tiles", "worldcover", [classes])
    np.testing.assert_array_equal(one.fraction, two.fraction)
    # A pixel counts in the file that its centre is of, so the ninths of those on the seam may fall outside it.
    total = sum(part.count.sum() for part in two.parts[0])
    assert total == pytest.approx(one.parts[0][0].count.sum(), rel=0.01)


@pytest.mark.parametrize("lefts", [(-180.0, 177.0), (-180.0,), (177.0, 180.0), (0.0,)])
def test_ground_beyond_the_antimeridian(tmp_path, lefts):
    """Tiles that end there, a raster around the Earth from there or from Greenwich, longitudes above 180."""
    x, y = transformer("EPSG:4326", "EPSG:32660").transform(180.0, 1.0)
    lattice = make_lattice("EPSG:32660", round(x) - 20, round(y), 1, 10, 40)
    width = 36_000 if len(lefts) == 1 else 300
    for left in lefts:
        own = GeoBox((4, width), Affine(0.01, 0, left, 0, -0.01, 1.02), "EPSG:4326")
        layouts.write_product(tmp_path / f"{left}.tif", "worldcover", np.full((4, width), 50), own)
    found = look(tmp_path, "worldcover", [np.ones((10, 40), np.uint8)], Window(0, 0, 10, 40), lattice)
    assert (found.fraction == 1).all()
    assert sum(part.count.sum() for part in found.parts[0]) == 400


def test_a_raster_of_several_bands_needs_a_name(tmp_path):
    lattice = layouts.grid("dynamicworld", SIDE)
    values = np.zeros((*lattice.shape, 2))
    path = layouts.write_product(tmp_path / "p.tif", "dynamicworld", values, lattice, ("water", "trees"))
    with pytest.raises(InputError, match="has 2 bands and none is named 'label'"):
        look(path, "dynamicworld")
    with pytest.raises(InputError, match="not the band=3"):
        look(path, "dynamicworld", keys=",band=3")
