"""Evaluation on some of a dataset's dates."""

import pytest
import toy

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.training.train import train
from jointseg_jax.training.trained import load_trained


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """Experiments on the same scenes with three dates and with one, both prepared."""
    root = tmp_path_factory.mktemp("dates")
    made = {}
    for dates in (3, 1):
        config = toy.scenes(root / "scenes", root / f"dataset{dates}", dates=str(dates))
        config.steps = config.validate_every = config.checkpoint_every = 3
        config.panels, config.mesh.data = 0, 1
        made[dates] = config, prepare(config.dataset, say=toy.quiet)
    return made


def trained_on(experiments, dates, folder):
    train(experiments[dates][0], folder)
    return load_trained(folder)


def judged(trained, data, folder, **changes):
    return evaluate(trained, data, "test", folder, tile=24, say=toy.quiet, **changes)


@pytest.mark.slow
def test_one_network_is_judged_on_any_number_of_dates(experiments, tmp_path):
    several = trained_on(experiments, 3, tmp_path / "run")
    assert several.model.dates == 3
    data = experiments[3][1]
    found = {n: judged(several, data, tmp_path / f"of{n}", dates=n) for n in (1, 2, None)}
    assert [m["dates"] for m in found.values()] == [1, 2, 3]
    scores = [m["overall"]["stages"][-1]["psnr_bicubic"] for m in found.values()]
    assert len(set(scores)) == 3
    # The first date is that of the dataset with one date, which the network takes as well.
    alone = judged(several, experiments[1][1], tmp_path / "other")
    assert alone["overall"] == found[1]["overall"]


@pytest.mark.slow
def test_a_network_of_one_date_is_judged_on_the_first(experiments, tmp_path):
    one = trained_on(experiments, 1, tmp_path / "run")
    with pytest.raises(InputError, match="'s2' has 3 dates where the network was trained with one; --dates=1 uses"):
        judged(one, experiments[3][1], tmp_path / "refused")
    first = judged(one, experiments[3][1], tmp_path / "first", dates=1)
    assert first["overall"] == judged(one, experiments[1][1], tmp_path / "own")["overall"]


def test_sites_are_scenes_of_their_first_dates(experiments, tmp_path):
    root, contract = experiments[3][1].root, experiments[1][1].contract
    with pytest.raises(InputError, match="has 3 dates where the network was trained with one"):
        find_scenes(root, contract, tmp_path)
    found = find_scenes(root, contract, tmp_path, dates=1)
    assert [len(scene.files()["s2"]) for scene in found] == [1, 1, 1]
    assert [scene.opened().scene.dates for scene in found] == [1, 1, 1]
