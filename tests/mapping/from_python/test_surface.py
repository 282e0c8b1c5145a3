"""What `import jointseg_jax as js` offers, and that it is quick."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import jointseg_jax as js


def test_every_name_is_there_and_documented():
    for name in js.__all__:
        assert inspect.getdoc(getattr(js, name)), name
    assert set(js.__all__) == set(js._PLACES) <= set(dir(js))
    with pytest.raises(AttributeError, match=r"nothing.*it offers InputError, Network"):
        _ = js.nothing


def test_the_import_itself_imports_nothing_slow():
    code = "import sys, jointseg_jax; print(sorted({'jax', 'numpy', 'xarray', 'rasterio', 'absl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_looking_at_datasets_and_maps_does_not_load_jax():
    code = "import sys, jointseg_jax as js; js.open_dataset, js.read_map; print({'jax', 'orbax'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_stored_network_says_what_it_is(workdir, trained):
    net = js.load(workdir)
    contract = trained.meta.contract
    assert net.inputs == {m.name: m.bands for m in contract.modalities}
    assert (net.name, net.step, net.label, net.threshold) == ("toy", 0, "impervious", pytest.approx(0.45))
    assert net.units["s1"] == "dB"
    assert repr(net).startswith("<jointseg_jax.Network 'toy', step 0: s2: B02, B03, B04, B08; ")
    with pytest.raises(js.InputError, match="train first"):
        js.load(workdir / "none")


def test_a_dataset_is_several_scenes(workdir, data):
    with pytest.raises(js.InputError, match=r"several scenes.*--workdir="):
        js.load(workdir).predict(data.root)


def test_patches_hold_arrays_by_name(data):
    dataset = js.open_dataset(str(data.root))
    assert len(dataset) == len(data.index) == len(list(dataset.index.index))
    assert list(dataset.sites.index) == ["a", "b", "c", "d"]
    patch = dataset.patch(-1)
    assert list(patch) == [*(m.name for m in data.contract.modalities), "image", "label"]
    row = dataset.index.iloc[-1]
    assert (patch.site, patch.split) == (row["site"], row["split"])
    assert patch["s2"].dims == ("date", "band", "y", "x")
    assert patch["s2"].rio.crs.to_epsg() == 32650
    assert patch["image"].rio.transform().a == 1
    shares = (patch["label"].values == 1).sum() / (patch["label"].values != 255).sum()
    assert shares == pytest.approx(row["impervious_fraction"], abs=1e-6)
    whole = dataset.raster(patch.site, "s2").sel(x=patch["s2"]["x"], y=patch["s2"]["y"])
    modality = data.contract.primary
    expected = modality.decode(np.moveaxis(whole.values, 0, -1))
    np.testing.assert_array_equal(np.moveaxis(patch["s2"].values[0], 0, -1), expected)


def test_a_patch_is_drawn(data, tmp_path):
    patch = js.open_dataset(data.root, split="train").patch(0)
    figure = patch.plot()
    assert [axes.get_title() for axes in figure.axes] == ["s2, 10 m", "image, 1 m", "impervious, 1 m"]
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert [p.shape[0] for p in pictures] == [12, 120, 120]
    assert all(p.std() > 5 for p in pictures)
    figure.savefig(tmp_path / "patch.png")
    assert "patch 0 of site" in patch._repr_html_()


def test_what_a_dataset_lacks_is_named(data, tmp_path):
    dataset = js.open_dataset(data.root)
    for wrong, message in (
        (lambda: dataset.patch(len(dataset)), "patches 0 to"),
        (lambda: dataset.raster("z", "s2"), "it has a, b, c, d"),
        (lambda: dataset.raster("a", "s3"), "it has dem, image, label, s1"),
        (lambda: js.open_dataset(tmp_path), "prepare the dataset first"),
        (
            lambda: js.open_dataset(data.root, split="x"),
            r"no patches in split .x., only in test, train, validation: give it a site \(dataset.split.table.x\)",
        ),
    ):
        with pytest.raises(js.InputError, match=message):
            wrong()
