"""Scenes of several years are mapped, one product per year, and decoded, with one call each."""

import shutil

import areas_of_interest
import pytest
import shapely
from mapped_areas import LEFT, SETTINGS, TOP, ignore

from jointseg_jax.change.map_years import map_years
from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.change.read_monitor import read_monitor
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import to_degrees
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.mapping.predictor import halo as halos


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
