"""The ground of a dataset's sites as polygons."""

import geopandas
import pytest
import shapely

from jointseg_jax.commands.outlines import main
from jointseg_jax.data.outlines import outlines
from jointseg_jax.geo.area_of_interest import read_regions


def test_outlines_are_the_ground_of_the_sites(data, tmp_path, capsys):
    path = tmp_path / "regions.gpkg"
    assert main([f"--dataset={data.root}", f"--output={path}"]) == 0
    assert main([f"--dataset={data.root}", f"--output={path}"]) == 0  # replaces its own file
    assert f"{len(data.sites)} places in 2 regions" in capsys.readouterr().out
    ground = geopandas.read_file(path).to_crs(next(iter(data.sites.values())).crs)
    for row in ground.itertuples():
        site = data.sites[row.place]
        box = shapely.box(site.left, site.top - 10 * site.height, site.left + 10 * site.width, site.top)
        assert row.geometry.symmetric_difference(box).area < 1e-3 * box.area
        assert row.region == site.region
    assert set(read_regions(path, "region")) == {"north", "south"}
    some = outlines(data.root, "test")
    assert set(some["place"]) == {site.name for site in data.sites_of("test")}


@pytest.mark.parametrize(
    ("name", "words"), [("regions.csv", "must end with"), ("notes.gpkg", "is not a file of outlines")]
)
def test_only_its_own_file_is_replaced(data, tmp_path, capsys, name, words):
    (tmp_path / "notes.gpkg").write_text("mine")
    assert main([f"--dataset={data.root}", f"--output={tmp_path / name}"]) != 0
    assert words in capsys.readouterr().err
    assert (tmp_path / "notes.gpkg").read_text() == "mine"
