"""Folds over spatial blocks, through a training: each trains and is judged on ground of its own."""

import harness
import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.splits import SPLITS
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.training.train import train
from jointseg_jax.training.trained import load_trained

FOLDS = 2


def ground(data, split):
    """Site -> where its ground belongs to a split, bool on the 10 m lattice."""
    found = {}
    for name, site in data.sites.items():
        with rasterio.open(data.root / site.split) as raster:
            found[name] = raster.read(1) == 1 + SPLITS.index(split)
    return found


@pytest.mark.slow
def test_a_fold_trains_and_is_judged_on_ground_of_its_own(raw, config, tmp_path):
    """Of one raster tree: the test ground of the folds covers every block once, and no training patch touches it."""
    d = config.dataset
    d.source.root, d.patch, d.stride = str(raw), 6, 6
    d.split.table.train = d.split.table.validation = d.split.table.test = ()
    d.split.by, d.split.folds, d.split.block, d.split.gap, d.split.halo = "block", FOLDS, 18, 0, 0
    d.split.shares.train, d.split.shares.validation, d.split.tolerance = 0.6, 0.4, 1.0
    harness.speck(config)
    config.steps = config.validate_every = config.checkpoint_every = 1
    judged = []
    for fold in range(FOLDS):
        d.split.fold, d.path = fold, str(tmp_path / f"dataset-{fold}")
        data = prepare(d, say=toy.quiet)
        test = ground(data, "test")
        trained_on = data.index[data.index["split"] == "train"]
        assert len(trained_on)
        for patch in trained_on.itertuples():
            assert not test[patch.site][patch.row : patch.row + 6, patch.col : patch.col + 6].any()
        train(config, tmp_path / f"run-{fold}")
        trained = load_trained(tmp_path / f"run-{fold}")
        metrics = evaluate(trained, data, "test", tmp_path / f"scores-{fold}", tile=42, say=toy.quiet)
        # What is judged is the fold's test ground with a label, and nothing else.
        labelled = 0
        for name, here in test.items():
            with rasterio.open(data.root / data.sites[name].label) as raster:
                labelled += ((raster.read(1) != 255) & np.kron(here, np.ones((10, 10), bool))).sum()
        assert metrics["pixels"] == labelled > 0
        judged.append(np.concatenate([here.ravel() for here in test.values()]))
    assert (sum(here.astype(int) for here in judged) == 1).all()
