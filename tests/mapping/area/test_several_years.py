"""Scenes of several years are mapped, one product per year, and decoded, with one call each."""

import shutil

import areas_of_interest
import pytest
import shapely
import stac_files
from fuzz import mapped, seeds
from mapped_areas import LEFT, SETTINGS, TOP, ignore
from web_server import serving

from jointseg_jax.change.map_years import map_years
from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.change.read_monitor import read_monitor
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.commands import monitor
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import to_degrees
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.rasters import remote


def test_each_year_is_mapped_from_its_scenes_and_all_are_decoded(network, scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(halos, "measure", lambda *_: halos.HaloMeasurement(4, {"4": 0.0}, 48, met=True))  # takes long
    shutil.copytree(scenes / "early_20210601", tmp_path / "in" / "early_20190601")
    shutil.copytree(scenes / "late_20210611", tmp_path / "in" / "late_20210611")
    area = to_degrees(shapely.box(LEFT + 220, TOP - 180, LEFT + 350, TOP - 40), areas_of_interest.ZONE)
    lines: list[str] = []

    def go(years, say=ignore):
        return map_years(
            network, tmp_path / "in", area, tmp_path / "out", SETTINGS, Serial(), years=years,
            period_of_year="05-01/09-30", say=say,
        )  # fmt: skip

    with pytest.raises(InputError, match="2020 cannot be mapped"):
        go(["2020", "2021"])
    folders = go(["2019", "2021"])
    go(["2021", "2019"], lines.append)
    assert sum("tiles that were done before" in line for line in lines) == 2
    for _ in range(2):  # the second time it finds everything done
        run_monitor(folders, tmp_path / "out", Settings(0), Serial(), beside=True, say=ignore)
    found = read_monitor(tmp_path / "out")
    assert found.monitor.labels == ("2019", "2021")
    assert {row.times["2019"][0][:10] for row in found.tiles.values()} == {"2019-06-01"}
    assert {row.times["2021"][0][:10] for row in found.tiles.values()} == {"2021-06-11"}
    assert sum(row.valid_m2 for row in found.tiles.values()) > 14_000


@pytest.mark.slow
def test_the_collection_of_an_api_is_mapped_by_year_and_decoded_by_one_command(raw, tmp_path, monkeypatch):
    monkeypatch.setenv(remote.REMOTE, "1")
    seeds.use(tmp_path)
    box = stac_files.write_cogs(raw / "a", tmp_path / "web" / "a")
    ground = shapely.box(LEFT + 20, TOP - 180, LEFT + 180, TOP - 20)
    aoi = areas_of_interest.write_area(tmp_path / "aoi.geojson", ground)
    with serving(tmp_path / "web") as server:
        server.items["s2"] = [
            stac_files.item(f"s2_{year}", f"{server.address}/a", box, date=f"{year}-06-03T03:25:41Z")
            for year in (2019, 2020, 2021)
        ]
        flags = [
            f"--workdir={mapped.workdir()}", f"--input={server.address}/api/collections/s2", f"--aoi={aoi}",
            "--years=2019,2021", "--period_of_year=05-01/09-30", "--tile=16", f"--output={tmp_path / 'out'}",
        ]  # fmt: skip
        try:
            assert monitor.main(flags) == 0
        finally:
            monitor.FLAGS.values.unparse_flags()
    found = read_monitor(tmp_path / "out")
    assert found.monitor.labels == ("2019", "2021")
    (row,) = found.tiles.values()
    assert {label: times[0][:10] for label, times in row.times.items()} == {"2019": "2019-06-03", "2021": "2021-06-03"}
    assert row.lies["2021"]["quality"] > 0.9  # the inputs, one image, were read again from the server
    assert row.valid_m2 > 20_000
