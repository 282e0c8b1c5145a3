"""Samples: units, masks, broken files."""

import pickle
import shutil

import numpy as np
import pytest
import rasterio

from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.patches import PatchReader
from jointseg_jax.data.pipeline import training_batches
from jointseg_jax.data.sensor import SensorSpread
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


def test_a_sample_has_the_contracts_shapes_and_units(data):
    sample = PatchReader(data, "train", data.contract).read(3)
    assert sample["inputs"]["s2"]["values"].shape == (1, 12, 12, 4)
    assert sample["inputs"]["s2_20m"]["values"].shape == (1, 12, 12, 2)
    assert sample["inputs"]["s1"]["valid"].dtype == bool
    assert sample["image"].shape == (120, 120, 3)
    assert sample["label"].dtype == np.uint8
    values = sample["inputs"]["s2"]["values"]
    assert values.dtype == np.float32
    assert 0 < values.mean() < 0.6
    mean = sample["image"].reshape(12, 10, 12, 10, 3).mean((1, 3))
    seen = sample["inputs"]["s2"]["values"][0][..., [2, 1, 0]]
    ok = sample["inputs"]["s2"]["valid"][0]
    np.testing.assert_allclose(mean[ok], seen[ok], atol=0.02)


def test_subset_of_modalities(data):
    contract = datasets.select(data.contract, ("s2", "dem"))
    sample = PatchReader(data, "train", contract).read(0)
    assert list(sample["inputs"]) == ["s2", "dem"]
    with pytest.raises(InputError, match="image bands"):
        datasets.select(data.contract, ("s1", "s2"))
    with pytest.raises(InputError, match="sar"):
        datasets.select(data.contract, ("s2", "sar"))


def test_twenty_metre_bands_do_not_depend_on_the_window(data):
    reader = PatchReader(data, "train", data.contract)
    scene = data.scene("a")
    from jointseg_jax.rasters.lattice import Window
    from jointseg_jax.rasters.reader import Handles

    whole = scene.read(Window(0, 0, *scene.shape), Handles())["s2_20m"]
    patches = data.patches("train")
    of_site = patches[patches["site"] == "a"]
    assert len(of_site)
    for patch, row, col, height, width in of_site[["row", "col", "height", "width"]].itertuples():
        part = reader.read(patch)["inputs"]["s2_20m"]
        np.testing.assert_array_equal(part["values"], whole["values"][:, row : row + height, col : col + width])
        np.testing.assert_array_equal(part["valid"], whole["valid"][:, row : row + height, col : col + width])


def test_a_broken_file_masks_its_patches_and_nothing_else(data, tmp_path):
    root = tmp_path / "dataset"
    shutil.copytree(data.root, root)
    path = root / "sites" / "a" / "image.tif"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    broken = datasets.load(root)
    reader = PatchReader(broken, "train", broken.contract)
    samples = [reader.read(i) for i in range(len(reader))]
    lost = [s for s in samples if not s["readable"]]
    assert 0 < len(lost) < len(samples)
    for sample in lost:
        assert (sample["label"] == 255).all()
        assert not sample["image_valid"].any()
        assert not any(parts["valid"].any() for parts in sample["inputs"].values())
    batches = training_batches(reader, batch=len(reader), seed=0, start=0)
    batch = next(batches)
    batches.close()
    assert len(batch["readable"]) == len(reader)
    assert int((~batch["readable"]).sum()) == len(lost)


def test_readers_travel_to_other_processes(data):
    reader = PatchReader(data, "train", data.contract)
    reader.read(0)
    copied = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copied.read(1)["image"], reader.read(1)["image"])


def test_spread_needs_a_simulated_input(data):
    with pytest.raises(InputError, match=r"sensor_spread .*: remove data.sensor_spread from the config"):
        PatchReader(data, "train", data.contract, SensorSpread())


def test_missing_dataset_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="jointseg prepare"):
        datasets.load(tmp_path)


def test_site_rasters_are_on_one_lattice(data):
    for site in data.sites.values():
        with rasterio.open(data.root / site.image) as image, rasterio.open(data.root / site.layers["s2"][0]) as s2:
            assert image.shape == (10 * s2.shape[0], 10 * s2.shape[1])
            assert image.bounds == s2.bounds
        assert site.left % 20 == 0
        assert site.top % 20 == 0
