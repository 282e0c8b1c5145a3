"""Raw rasters that a test may spoil."""

import shutil

import pytest


@pytest.fixture
def own(raw, config, tmp_path):
    """A private copy of the raw rasters and a dataset config that prepares them."""
    root = tmp_path / "raw"
    shutil.copytree(raw, root)
    config.dataset.source.root = str(root)
    config.dataset.path = str(tmp_path / "dataset")
    return root, config.dataset


@pytest.fixture
def one(own):
    """The same with site `a` alone, whose first modality is the only input, for tests of one file."""
    import toy

    root, config = own
    toy.keep_only(config, "a")
    config.inputs = ("s2",)
    return root / "a", config
