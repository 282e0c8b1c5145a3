"""The line that preparation prints per site fits on a terminal and tells whether the site is fit for use."""

import pathlib

from jointseg_jax.data.dataset import ImageFit, Registration
from jointseg_jax.data.prepare import site_line
from jointseg_jax.data.prepare.site_work import SitePlan
from jointseg_jax.data.prepare.sources import INPUTS, Part, SiteEntry, SiteSource

MOST = 160  # characters, with the number and the name of the site


def test_a_site_with_everything_to_say(data):
    site = data.sites["a"].replace(
        pixels={"train": 6000, "validation": 0, "test": 4000},
        days={"image": (0,), "s2": (12, -3)},
        cloudy={"s2": (0.124, None)},
        registration={
            "image": Registration("s2", -3.0, 1.0, 0.8, (-3, 1), 0.2),
            "label": Registration("image", 0.3, 0.3, 0.8, (0, 0), 0.42),
            "s1": Registration("s2", 0.3, 0.3, 0.8, (0, 0), 0.4),
            "s2_1": Registration("s2", 1.0, 1.0, 0.8, (0, 0), 1.4),
        },
        fit=ImageFit((0.7, -0.1, 0.3), 14),
        label_counts={"features": 1310, "repaired": 2, "cells built up": 12, "cells without vectors": 3},
    )
    source = SiteSource(
        SiteEntry("a", "a", "", "", pathlib.Path()), {}, pathlib.Path("image.tif"),
        vectors=(pathlib.Path("osm.gpkg"),), notes=("s1: absent (no file of the archive serves), masked",),
    )  # fmt: skip
    line = site_line.in_words(site, SitePlan(source, data.scene("a").lattice), fresh=True)
    assert line == (
        "0.15 km2, prepared, train+test; s2 -3 days, 12 % not clear; image 3.2 -> 0.2, label 0.4, s2_1 1.4 m off; "
        "explained variance -0.10; 1310 features, 3 of 12 cells lack vectors; s1: absent; "
        "WARNING: another season, few blocks (14)"
    )


def test_a_site_that_is_well_fits_on_a_terminal(own):
    from jointseg_jax.data.prepare.preparation import prepare

    _, config = own
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert all(len(line) <= MOST for line in lines[:-1])
    assert lines[-1].endswith("more on each site in sites/NAME/site.json")
    assert (data.root / "sites" / "a" / "site.json").is_file()
    again: list[str] = []
    prepare(config, say=again.append)
    assert [line.replace("already there", "prepared") for line in again] == lines  # nothing is left out when repeated


def test_notes_name_the_file_that_the_user_has(data):
    assert data.sites["a"].notes[0].startswith("s2: s2.tif: offset -1000")
    assert Part(pathlib.Path("archive/a/later.tif")).name == "later.tif"
    assert Part(pathlib.Path("archive/a/own.vrt")).name == "own.vrt"
    assert Part(pathlib.Path(f"dataset/{INPUTS}/a/S2A_x.SAFE/s2.vrt")).name == "S2A_x.SAFE"
