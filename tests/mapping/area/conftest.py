"""A network, overlapping scenes and an area, and the product that is mapped from them."""

import shutil

import areas_of_interest
import mapped_areas
import pytest
import rasterio
import shapely
import toy
from mapped_areas import LEFT, TOP

from jointseg_jax.geo.area_of_interest import read_area
from jointseg_jax.mapping.area import rates
from jointseg_jax.training.trained import load_trained


@pytest.fixture(scope="session")
def network(workdir, tmp_path_factory):
    """The network of `workdir`, in a folder of its own."""
    own = tmp_path_factory.mktemp("network") / "run"
    shutil.copytree(workdir, own)
    return load_trained(own)


@pytest.fixture(scope="session")
def scenes(raw, tmp_path_factory):
    """Two scenes of one ground, the second moved east by 200 m, in the first a hole; and one far away."""
    folder = tmp_path_factory.mktemp("belt")
    for source, target in (("a", "early_20210601"), ("b", "late_20210611"), ("d", "far_20210601")):
        shutil.copytree(raw / source, folder / target)

    def hole(stack):
        stack[:, 12:18, 22:30] = 0
        return stack

    toy.rewrite(folder / "early_20210601" / "s2.tif", values=hole)
    for path in (folder / "late_20210611").glob("*.tif"):
        with rasterio.open(path) as raster:
            spacing = raster.res[0]
        toy.rewrite(path, transform=rasterio.Affine(spacing, 0, LEFT + 200, 0, -spacing, TOP))
    return folder


@pytest.fixture(scope="session")
def area(tmp_path_factory):
    """A triangle that both scenes show in part."""
    triangle = shapely.Polygon([(LEFT + 30, TOP - 340), (LEFT + 600, TOP - 330.5), (LEFT + 310.25, TOP - 15)])
    return read_area(areas_of_interest.write_area(tmp_path_factory.mktemp("aoi") / "aoi.geojson", triangle))


@pytest.fixture(scope="session")
def mapped_area(network, scenes, area, tmp_path_factory):
    """The product's folder, its plan, and the lines that were reported; copy the folder before changing it."""
    folder = tmp_path_factory.mktemp("made") / "product"
    (network.workdir / rates.FILE).unlink(missing_ok=True)  # it has not mapped yet
    mapped_areas.fix_halo(network, scenes)
    lines = []
    plan = mapped_areas.make_product(network, scenes, area, folder, say=lines.append)
    return folder, plan, lines
