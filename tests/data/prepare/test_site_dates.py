"""Every site says when its image, its label and its inputs were taken, and how many days lie between them."""

import json

import pandas as pd
import pytest
import toy

from jointseg_jax.data.prepare import site_dates, site_list
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.report.page import write_report
from jointseg_jax.errors import InputError


@pytest.fixture
def dated(one):
    """A site with two dates of s2 in the table, one of s1 in a tag, and none of the elevation and the label."""
    folder, config = one
    config.inputs, config.source.layers.s2 = ("s2", "s1", "dem"), ("s2.tif", "s2.tif")
    config.source.cloud = ()
    toy.rewrite(folder / "s1.tif", acquisition_date="2021-01-02")
    table = pd.read_csv(folder.parent / "sites.csv", dtype=str).assign(date_s2="2021-06-03T03:15:00Z 2021-05-20")
    table.to_csv(folder.parent / "sites.csv", index=False)
    return folder, config


def test_records_index_and_report_hold_the_days(dated):
    _, config = dated
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "; s2 +2 days" in lines[0]
    said = "dates: image 2021-06-01; s2 +2, -12 days; s1 -150 days; dem unknown; label unknown"
    assert said in data.sites["a"].notes
    record = json.loads((data.root / "sites" / "a" / "site.json").read_text())["site"]
    assert record["dates"]["s2"] == ["2021-06-03T03:15:00Z", "2021-05-20"]
    written = {name: site_dates.date_of(data.root / "sites" / "a" / f"{name}.tif") for name in ("s2_0", "s2_1", "dem")}
    assert written == {"s2_0": "2021-06-03T03:15:00Z", "s2_1": "2021-05-20", "dem": ""}
    assert record["dates"]["dem"] == record["dates"]["label"] == [None]
    assert record["days"] == {"image": [0], "label": [None], "s2": [2, -12], "s1": [-150], "dem": [None]}
    index = pd.read_parquet(data.root / "index.parquet")
    assert (index["days_s2"] == 2).all()
    assert (index["span_s2"] == 14).all()
    assert (index["days_s1"] == -150).all()
    assert index[["days_dem", "span_dem", "days_label"]].isna().all(axis=None)
    assert write_report(data, toy.quiet) == []
    figures = json.loads((data.root / "report.json").read_text())
    assert figures["warnings"] == ["s1 of a is 150 days before the image, more than 90"]
    assert figures["days"]["s2"]["most_between_dates"] == 14
    assert figures["days"]["dem"] == {
        "sites": 0, "unknown": 1, "least": None, "median": None, "most": None, "most_between_dates": None
    }  # fmt: skip
    page = (data.root / "report.html").read_text()
    assert "<td>+2, -12</td><td>-150</td><td>unknown</td>" in page
    assert "Days from the image to the dates" in page


def test_a_table_with_other_dates_than_files_is_refused(dated):
    folder, config = dated
    config.source.layers.s2 = ("s2.tif",)
    with pytest.raises(InputError, match="gives 2 dates for 's2' at site 'a', which has 1 files of it"):
        prepare(config, say=toy.quiet)
    (folder.parent / "sites.csv").write_text("site,region,date,folder,date_s2\na,r,2021,a,June\n")
    with pytest.raises(InputError, match="gives site 'a' the date 'June'"):
        site_list.from_table(folder.parent)


def test_a_simulated_input_is_as_old_as_its_image(tmp_path):
    config = toy.scenes(tmp_path / "scenes", tmp_path / "dataset", dates="2").dataset
    config.source.only = ("one",)
    config.split.table.validation = config.split.table.test = ()
    toy.rewrite(tmp_path / "scenes" / "one" / "image.tif", datetime="2019-03-01T10:00:00Z")
    (site,) = prepare(config, say=toy.quiet).sites.values()
    assert site.date == "2019-03-01T10:00:00Z"
    assert site.dates["s2"] == (site.date,) * 2
    assert site.days == {"image": (0,), "label": (None,), "s2": (0, 0)}
    assert site_dates.date_of(tmp_path / "dataset" / site.layers["s2"][1]) == site.date


def test_the_span_is_that_of_all_dates_and_the_nearest_one_of_those_known():
    assert site_dates.span(("2021-06-03", "2021", "2020-12-30")) == 155
    assert site_dates.span(("2021-06-03", None)) is None
    assert site_dates.nearest((None, -3, 4)) == -3
    assert site_dates.nearest((None,)) is None
