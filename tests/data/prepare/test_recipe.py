"""Configs that contradict themselves get a sentence before anything is read."""

import pytest

from jointseg_jax.configs import common
from jointseg_jax.data.prepare.recipe import make_recipe
from jointseg_jax.data.prepare.site_list import from_table
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


def dataset():
    config = common.dataset("x")
    config.modalities = common.sentinel2()
    config.source.layers = common.SENTINEL2_FILES
    config.inputs = ("s2", "s2_20m")
    return config


def simulated(**changes):
    config = dataset()
    config.inputs = ("s2",)
    config.modalities.s2.bands = config.image_bands
    config.simulate.enabled = True
    config.simulate.update(changes)
    return config


def changed(**changes):
    config = dataset()
    config.update(changes)
    return config


def test_the_usual():
    recipe = make_recipe(dataset())
    assert recipe.coarsest == 20
    assert recipe.primary.name == "s2"
    assert make_recipe(simulated(mtf=(0.2, 0.3, 0.4), snr=(1e9, 50.0, 9.0))).simulate.mtf == (0.2, 0.3, 0.4)
    other = make_recipe(simulated(kernel="box", misregistration=(0, 2.5))).simulate
    assert (other.kernel, other.shift) == ("box", (0.0, 2.5))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(inputs=("s3",)), "'s3'"),
        (changed(inputs=("s2_20m", "s2")), "spacing of 20 m"),
        (changed(image_bands=("B04", "B03", "B12")), "B12"),
        (changed(source={"layers": {"s2_20m": ()}}), "dataset.source.layers has no files for modality 's2_20m'"),
        (simulated(mtf=(0.9, 0.2, 0.2)), "above 0 and below that of an ideal pixel, 0.637"),
        (simulated(mtf=(0.2,)), "dataset.simulate.mtf has 1 numbers"),
        (simulated(snr=(100.0, 100.0)), "dataset.simulate.snr has 2 numbers"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refusals(config, message):
    with pytest.raises(InputError, match=message):
        make_recipe(config)


def test_the_contract_states_the_mtf_of_the_image_bands():
    """As published by name or colour, or as simulated; of the first modality only; unknown bands leave it empty."""
    published = make_recipe(dataset())
    assert published.primary.mtf == (0.26, 0.28, 0.24, 0.26)
    assert all(not m.mtf for m in published.modalities[1:])
    assert make_recipe(simulated()).primary.mtf == (0.24, 0.28, 0.26)
    assert make_recipe(simulated(mtf=(0.2, 0.3, 0.4))).primary.mtf == (0.2, 0.3, 0.4)
    strange = dataset()
    strange.modalities.s2.bands = ("red", "green", "blue")
    strange.image_bands = ("red", "green", "blue")
    assert make_recipe(strange).primary.mtf == ()


def test_reflectance_is_simulated_in_published_bands():
    config = simulated()
    config.image_bands = config.modalities.s2.bands = ("R", "G", "B")
    with pytest.raises(InputError, match=r"bands \['R', 'G', 'B'\] cannot be simulated as reflectance"):
        make_recipe(config)


@pytest.mark.parametrize("name", ["../b", "", ".hidden", "a/b"])
def test_a_site_is_named_as_a_folder_can_be(tmp_path, name):
    (tmp_path / "sites.csv").write_text(f"site,region,date,folder\n{name},r,2021,x\n")
    with pytest.raises(InputError, match=r"sites\.csv names a site"):
        from_table(tmp_path)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("", ""),
        ("2021", "2021"),
        ("2021-06", "2021-06"),
        ("2021-06-01", "2021-06-01"),
        (" 20210601", "2021-06-01"),
        ("2021-06-01 03:25", "2021-06-01T03:25:00Z"),
        ("2021-06-01T03:25:41.024+02:00", "2021-06-01T01:25:41Z"),
    ],
)
def test_dates_of_sites_are_brought_to_one_form(tmp_path, date, expected):
    (tmp_path / "sites.csv").write_text(f"site,region,date,folder\na,r,{date},x\n")
    assert [entry.date for entry in from_table(tmp_path)] == [expected]


@pytest.mark.parametrize("date", ["01.06.2021", "summer 2021", "2021-13", "2021-02-30", "-", "0001-01-01T00:00+02:00"])
def test_a_date_that_is_none_is_named(tmp_path, date):
    (tmp_path / "sites.csv").write_text(f"site,region,date,folder\na,r,{date},x\n")
    with pytest.raises(InputError, match=r"sites\.csv gives site 'a' the date .*write it like 2021-06-01") as caught:
        from_table(tmp_path)
    assert repr(date) in str(caught.value)
