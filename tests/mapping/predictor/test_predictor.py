"""Contract 8: a tiled map is the untiled map, whatever the tiles, at scene edges and in nodata holes too."""

import dataclasses

import drawn_networks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.mapping.predictor import memory as mapping_memory
from jointseg_jax.mapping.predictor import predictor as predictors
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import cores, fitted
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage.files import read_json
from jointseg_jax.training.set_up import set_up


def whole(trained, scene, halo, tile, **changes):
    """The probability of a scene, put together from tiles."""
    height, width = scene.shape
    result = np.full((10 * height, 10 * width), np.nan, np.float32)
    for tile_ in Predictor(trained, halo, tile=tile, images=False, **changes).run(scene):
        result[tile_.window.scale(10).slices()] = tile_.probability
    return result


@pytest.fixture(scope="module")
def trained(toy_config, tmp_path_factory):
    """A network of two stages, with strong random weights."""
    return drawn_networks.draw(toy_config, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module", autouse=True)
def few_crops():
    """Halos are measured on three crops: the toy scene has little ground for more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(halos, "_CROPS", 3)
        yield


@pytest.fixture(scope="module")
def measured(trained, data, few_crops):
    return halos.measure(trained, data.scene("d"), halos.TOLERANCE)


def test_cores_cover_once():
    covered = np.zeros((37, 53), int)
    for window in cores(37, 53, 16):
        covered[window.slices()] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("tile", [7, 20])
def test_tiled_equals_untiled(trained, data, measured, tile):
    """Odd tiles, scenes whose sides they do not divide, a nodata corner and a cloud."""
    scene = data.scene("d")
    untiled = whole(trained, scene, measured.halo, max(scene.shape))
    tiled = whole(trained, scene, measured.halo, tile, batch=3)
    assert np.isfinite(tiled).all()
    assert untiled.std() > 0.05
    assert np.abs(tiled - untiled).max() <= halos.TOLERANCE


@pytest.mark.slow
def test_support_is_that_of_the_untiled_map(trained, data):
    """It reads three more coarse pixels than the image; the probability and the images stay the same."""
    scene, halo = data.scene("d"), 16
    found = {}
    for tile in (7, 42):
        parts = list(Predictor(trained, halo, tile=tile, support=True).run(scene))
        found[tile] = np.full((10 * scene.shape[0], 10 * scene.shape[1]), np.nan, np.float32)
        for part in parts:
            found[tile][part.window.scale(10).slices()] = part.support
    assert found[42].std() > 0.01
    np.testing.assert_allclose(found[7], found[42], atol=2e-3)
    (plain,) = Predictor(trained, halo, tile=42).run(scene)
    assert plain.support is None
    np.testing.assert_allclose(plain.probability, parts[0].probability, atol=1e-6)
    assert [image.shape for image in plain.images] == [image.shape for image in parts[0].images]


def test_without_an_image_there_is_no_support(trained):
    bilinear = dataclasses.replace(trained, model=trained.model.clone(control="bilinear"))
    with pytest.raises(InputError, match="no super-resolved image"):
        Predictor(bilinear, 4, support=True)


def test_too_small_a_halo_would_be_seen(trained, data):
    """The check above can fail: without a halo the same network leaves seams."""
    scene = data.scene("d")
    reach = halos.theoretical_reach(trained.model)
    assert np.abs(whole(trained, scene, 0, 7) - whole(trained, scene, min(reach, 24), 42)).max() > 10 * halos.TOLERANCE


def test_tile_origin_does_not_matter(trained, data, measured):
    """The same ground cut from scenes that begin elsewhere."""
    scene = data.scene("d")
    predictor = Predictor(trained, measured.halo, tile=12, batch=1, images=False)
    first = {t.window: t.probability for t in predictor.run_windows(scene, [Window(12, 12, 12, 12)])}
    shifted = {t.window: t.probability for t in predictor.run_windows(scene, [Window(11, 7, 12, 12)])}
    a, b = first[Window(12, 12, 12, 12)], shifted[Window(11, 7, 12, 12)]
    np.testing.assert_allclose(a[:110, :70], b[10:, 50:], atol=halos.TOLERANCE)


@pytest.mark.slow
def test_halo_grows_with_the_demand(trained, data, measured):
    strict = halos.measure(trained, data.scene("d"), 1e-5)
    assert measured.halo <= strict.halo <= halos.theoretical_reach(trained.model)
    errors = list(strict.errors.values())
    assert errors[0] >= errors[-1]


@pytest.mark.slow
def test_the_halo_is_that_of_the_weights_whatever_they_are_computed_in(trained, data, measured):
    coarse = dataclasses.replace(trained, model=trained.model.clone(dtype=jnp.bfloat16))
    assert halos.measure(coarse, data.scene("d"), halos.TOLERANCE) == measured


def test_the_halo_is_measured_at_full_precision(trained, data, monkeypatch):
    """Accelerators shorten the factors of float32 products; CPUs do not, so what is asked for is looked at."""
    seen = []
    real = predictors.predict_tiles

    def spy(*args, **changes):
        seen.append((jax.config.jax_default_matmul_precision, args[0].dtype))
        return real(*args, **changes)

    monkeypatch.setattr(predictors, "predict_tiles", spy)
    monkeypatch.setattr(halos, "_CANDIDATES", (2,))
    monkeypatch.setattr(halos, "_REFERENCES", (4,))
    halos.measure(trained, data.scene("d"), 1.0)
    assert set(seen) == {("highest", jnp.float32)}
    seen.clear()
    next(Predictor(trained, 2, tile=12).run(data.scene("d")))
    assert set(seen) == {(None, jnp.float32)}


def test_a_scene_too_small_to_measure_on_is_given_plenty(trained, data):
    scene = data.scene("d")
    small = dataclasses.replace(scene, lattice=scene.lattice[:20, :20])
    assert halos.measure(trained, small, halos.TOLERANCE) is None
    path = halos.kept_at(trained)
    path.unlink(missing_ok=True)
    assert halos.halo_for(trained, small) == min(halos.theoretical_reach(trained.model), 48)
    assert not path.exists()


@pytest.mark.slow
def test_halo_is_kept_beside_the_checkpoint(trained, data, measured):
    path = halos.kept_at(trained)
    path.unlink(missing_ok=True)
    assert halos.halo_for(trained, data.scene("d")) == measured.halo
    record = read_json(path)
    assert record["halo"] == measured.halo
    assert record["step"] == 0
    newer = dataclasses.replace(trained, step=5)
    assert halos.halo_for(newer, data.scene("d")) == measured.halo
    path.unlink()
    halos.kept_at(newer).unlink()


def test_theory_bounds_what_an_input_can_change(trained, data):
    """Changing one input pixel changes nothing beyond the theoretical reach."""
    reach = halos.theoretical_reach(trained.model)
    model = trained.model
    side = 2 * reach + 41
    rng = np.random.default_rng(0)
    modalities = {
        s.name: {
            "values": rng.normal(0, 1, (1, 1, side, 9, len(s.mean))).astype(np.float32) * np.asarray(s.std, np.float32)
            + np.asarray(s.mean, np.float32),
            "valid": np.ones((1, 1, side, 9), bool),
        }
        for s in model.inputs
    }
    changed = jax.tree.map(np.copy, modalities)
    changed["s2"]["values"][0, 0, 20] += 5.0
    apply = jax.jit(lambda m: model.apply({"params": trained.params}, m).logits)
    difference = np.abs(np.asarray(apply(modalities)) - np.asarray(apply(changed)))[0].max((1, 2))
    touched = np.flatnonzero(difference > 0)
    assert touched.max() < 10 * (20 + reach + 1)
    assert touched.max() > 10 * 25


def test_images_come_at_every_stage(trained, data, measured):
    scene = data.scene("d")
    tile = next(Predictor(trained, measured.halo, tile=16).run(scene))
    assert [i.shape for i in tile.images] == [(64, 64, 3), (160, 160, 3)]
    last = list(Predictor(trained, measured.halo, tile=16).run(scene))[-1]
    assert last.window == Window(32, 32, 4, 10)
    assert [i.shape for i in last.images] == [(16, 40, 3), (40, 100, 3)]
    assert last.valid.shape == (4, 10)


def test_fine_needs_the_true_image(trained, data, config):
    config.model.control = "fine"
    experiment = set_up(config)
    fine = dataclasses.replace(trained, model=experiment.model, params=toy.weights(experiment.model))
    scene = data.scene("d")
    assert np.isfinite(whole(fine, scene, 4, 16)).all()
    with pytest.raises(InputError, match="no 1 m image"):
        whole(fine, dataclasses.replace(scene, image=None), 4, 16)


def test_what_lies_beyond_the_true_image_is_the_training_mean(trained, data, config):
    """The upper bound, too, sees nothing where the image is no measurement, whatever numbers stand there."""
    config.model.control = "fine"
    experiment = set_up(config)
    fine = dataclasses.replace(trained, model=experiment.model, params=toy.weights(experiment.model))
    predictor = Predictor(fine, 4, tile=8, images=False)
    handles = Handles()
    scene = data.scene("d")
    inputs, (image, valid) = predictor.read(scene, [Window(0, 0, 8, 8)], handles)
    handles.close()
    assert not valid[0, :40].any()
    assert valid[0, 40:, 40:].all()
    apply = jax.jit(lambda i, v: experiment.model.apply({"params": fine.params}, inputs, i, v).logits)
    np.testing.assert_array_equal(apply(image, valid), apply(np.where(valid[..., None], image, 9.0), valid))


def test_a_halo_that_misses_the_tolerance_says_so(trained, data, monkeypatch):
    """A network that reaches further than any context tried: nothing is kept as if it had been met."""
    path = halos.kept_at(trained)
    path.unlink(missing_ok=True)
    monkeypatch.setattr(halos, "_REFERENCES", (4, 8))
    lines: list[str] = []
    assert halos.halo_for(trained, data.scene("d"), 1e-7, lines.append) == 8
    assert not read_json(path)["met"]
    assert "may still differ by more than 1e-07" in lines[0]
    assert halos.halo_for(trained, data.scene("d"), 1e-7, lines.append) == 8
    assert len(lines) == 2
    path.unlink()


def test_silly_sizes_are_refused(trained):
    for changes in ({"tile": 0}, {"batch": 0}):
        with pytest.raises(InputError, match="at least"):
            Predictor(trained, 4, **changes)


@pytest.mark.parametrize(
    ("asked", "used"),
    [((10**9, None), (40, None)), ((10**9, 10**6), (40, 1)), ((16, 10**6), (16, 6)), ((16, 4), (16, 4))],
    ids=str,
)
def test_windows_are_no_larger_than_the_scene(asked, used):
    assert fitted(*asked, 20, 40) == used


@pytest.mark.parametrize("changes", [{"tile": 10**9}, {"batch": 10**6}, {"tile": 10**5, "augment": True}], ids=str)
def test_windows_beyond_all_memory_are_refused_at_once(trained, changes, monkeypatch):
    monkeypatch.setattr(mapping_memory, "memory", None)  # nothing is compiled to know it
    monkeypatch.setattr(mapping_memory, "memory_limit", lambda: 64 * 10**9)
    with pytest.raises(InputError, match=r"but 64 GB are available: choose a smaller --tile or --batch"):
        check_room(Predictor(trained, 4, **changes))


def test_windows_whose_network_does_not_fit_are_refused(trained):
    predictor = Predictor(trained, 4, tile=16)
    check_room(predictor)
    check_room(predictor, limit=2**40)
    with pytest.raises(InputError, match=r"--tile=16 with a batch of 1 .* but 20 MB are available"):
        check_room(predictor, limit=20 * 10**6)


def test_toy_is_what_it_says():
    image, label = toy.ground(0, 12, 12)
    assert 0.05 < label.mean() < 0.95
    assert image.shape == (120, 120, 3)
