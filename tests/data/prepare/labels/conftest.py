"""A place of 420 x 360 m and vectors on it."""

import geopandas as gpd
import pytest
import shapely
import toy

from jointseg_jax.rasters.lattice import make_lattice

WIDTH, HEIGHT = 420, 360
LEFT, TOP = toy.LEFT, toy.TOP


@pytest.fixture
def fine():
    """The 1 m lattice of the toy's first site."""
    return make_lattice(toy.CRS, LEFT, TOP, 1, HEIGHT, WIDTH)


@pytest.fixture
def put(tmp_path):
    """Writes layers of (geometry in metres right of and below the site's corner, tags) into one file; returns it."""

    def write(name="x.gpkg", crs=toy.CRS, **layers):
        path = tmp_path / name
        for layer, features in layers.items():
            keys = sorted({key for _, tags in features for key in tags})
            columns = {key: [tags.get(key) for _, tags in features] for key in keys}
            shapes = [
                None if g is None else shapely.affinity.affine_transform(g, (1, 0, 0, -1, LEFT, TOP))
                for g, _ in features
            ]
            frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=toy.CRS).to_crs(crs)
            frame.to_file(path, layer=layer) if path.suffix == ".gpkg" else frame.to_file(path)
        return path

    return write
