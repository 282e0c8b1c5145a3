"""Reading, computing and writing side by side, on all devices, in bounded memory, and to the same numbers."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time

import collectives
import harness
import jax
import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor import predictor as predictors
from jointseg_jax.mapping.predictor.memory import memory
from jointseg_jax.mapping.predictor.predictor import Predictor, predict_tiles
from jointseg_jax.mapping.predictor.tiles import Clock, cores
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.rasters.lattice import Window


def whole(predictor, scene):
    height, width = scene.shape
    found = np.full((10 * height, 10 * width), np.nan, np.float32)
    for tile in predictor.run(scene):
        found[tile.window.scale(10).slices()] = tile.probability
    return found


def alive():
    return [t for t in threading.enumerate() if t.name == "ahead"]


@dataclasses.dataclass(frozen=True)
class Slow:
    """A scene that takes its time and notes who reads it; with a hole that cannot be read, on request."""

    scene: object
    seconds: float = 0.0
    broken: int | None = None
    readers: list = dataclasses.field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.scene, name)

    def read(self, window, handles):
        self.readers.append(threading.current_thread().name)
        if len(self.readers) - 1 == self.broken:
            raise InputError("s2.tif is damaged near row 1")
        time.sleep(self.seconds)
        return self.scene.read(window, handles)


@pytest.fixture(scope="module")
def scene(picture, ground):
    return picture(ground(3, 32, 40), "pipeline")


@pytest.fixture(scope="module")
def single(seeing, scene):
    return whole(Predictor(seeing, 4, tile=8, batch=1, images=False), scene)


@pytest.mark.parametrize(("batch", "devices"), [(3, 3), (8, 8), (12, 6)])
def test_a_batch_is_spread_over_the_devices_that_divide_it(seeing, scene, single, batch, devices):
    """20 tiles: no batch divides them, so the last is padded."""
    predictor = Predictor(seeing, 4, tile=8, batch=batch, images=False)
    assert predictor.mesh.size == devices
    before = predict_tiles._cache_size()
    np.testing.assert_allclose(whole(predictor, scene), single, atol=2e-6)
    assert predict_tiles._cache_size() == before + 1


def test_devices_have_nothing_to_say_to_each_other(seeing, scene, monkeypatch):
    predictor = Predictor(seeing, 4, tile=8, batch=8)
    calls = []

    def recorded(*arguments, **options):
        calls.append((arguments, options))
        return predict_tiles(*arguments, **options)

    monkeypatch.setattr(predictors, "predict_tiles", recorded)
    list(predictor.run_windows(scene, [Window(0, 0, 8, 8)]))
    ((arguments, options),) = calls
    inputs = arguments[3]
    assert {d for x in jax.tree.leaves(inputs) for d in x.devices()} == set(jax.local_devices())
    assert not collectives.collectives(predict_tiles.lower(*arguments, **options).compile())


def test_the_same_bits_again_and_in_other_company(seeing, scene):
    predictor = Predictor(seeing, 4, tile=8, batch=2, images=False)
    windows = cores(*scene.shape, 8)
    first = {t.window: t.probability for t in predictor.run_windows(scene, windows)}
    again = {t.window: t.probability for t in predictor.run_windows(scene, windows[::-1])}
    for window, probability in first.items():
        np.testing.assert_array_equal(again[window], probability)


def test_parts_overlap(seeing, scene):
    """20 tiles of 0.2 s to read and 0.2 s to use: one after the other takes eight seconds and the computation."""
    predictor = Predictor(seeing, 2, tile=8, images=False)
    windows = cores(*scene.shape, 8)
    list(predictor.run_windows(scene, windows))  # compiled
    slow, clock = Slow(scene, 0.2), Clock()
    begin = time.perf_counter()
    for _ in predictor.run_windows(slow, windows, clock):
        time.sleep(0.2)
    took = time.perf_counter() - begin
    one_after_the_other = clock.read + clock.compute + clock.write + 20 * 0.2
    assert clock.read >= 20 * 0.2
    assert clock.compute > 0
    assert took < one_after_the_other - 0.4  # of the four seconds that are saved on a quiet machine
    assert set(slow.readers) == {"ahead"}
    assert not alive()


def test_the_reader_runs_only_a_little_ahead(seeing, scene):
    slow = Slow(scene)
    tiles = Predictor(seeing, 2, tile=8, images=False).run(slow)
    next(tiles)
    time.sleep(1.0)
    assert len(slow.readers) <= 1 + 5  # used, waiting, computed, waiting, read
    tiles.close()
    assert not alive()


def test_what_cannot_be_read_is_said_after_the_tiles_before_it(seeing, scene):
    tiles = Predictor(seeing, 2, tile=8, images=False).run(Slow(scene, broken=7))
    assert [next(tiles).window for _ in range(7)] == cores(*scene.shape, 8)[:7]
    with pytest.raises(InputError, match=r"s2\.tif is damaged"):
        next(tiles)
    assert not alive()


def test_a_full_disk_leaves_no_raster_and_no_thread(seeing, picture, ground, tmp_path):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        harness.fill(disk, leave=60_000)
        with pytest.raises(InputError, match="cannot be written"):
            write_product(Predictor(seeing, 2, tile=32), picture(ground(4, 64, 64), "large"), disk / "map", {})
        assert not alive()
        assert not list((disk / "map").glob("*.tif"))
        assert not list((disk / "map").glob(".partial*"))


def test_weights_that_are_not_numbers_are_named(seeing, scene):
    broken = jax.tree.map(np.copy, seeing.params)
    broken["seg"]["head"]["bias"][0] = np.nan
    with pytest.raises(InputError, match="step 0, computes values that are not finite near row 0, column 0"):
        list(Predictor(dataclasses.replace(seeing, params=broken), 2, tile=8).run(scene))


def test_input_that_cannot_be_computed_with_is_blamed_before_the_weights(seeing, scene):
    class Absurd(Slow):
        def read(self, window, handles):
            found = super().read(window, handles)
            found["s2"]["values"][:, 5:8, 5:8, 1], found["s2"]["valid"][:, 5:8, 5:8] = 1e38, True
            return found

    with pytest.raises(InputError, match=r"has the value 1e\+38 .display. in band B03 .*: correct the raster"):
        list(Predictor(seeing, 2, tile=8).run(Absurd(scene)))


@pytest.mark.slow
def test_half_the_digits(seeing, scene, single):
    """bfloat16: a class may differ where the probability is within 0.05 of the threshold; float32 is float32."""
    half = whole(Predictor(seeing, 4, tile=8, images=False, dtype="bfloat16"), scene)
    assert half.dtype == np.float32
    assert 1e-4 < np.abs(half - single).max() < 0.05
    other = whole(Predictor(seeing, 4, tile=16, images=False, dtype="bfloat16"), scene)
    assert np.abs(other - whole(Predictor(seeing, 4, tile=16, images=False), scene)).max() < 0.05
    np.testing.assert_array_equal(
        whole(Predictor(seeing, 4, tile=8, batch=1, images=False, dtype="float32"), scene), single
    )
    with pytest.raises(InputError, match="--dtype=float16 must be one of float32, bfloat16"):
        Predictor(seeing, 4, dtype="float16")


def test_the_seconds_of_a_product(seeing, scene, tmp_path):
    begin = time.perf_counter()
    product = write_product(Predictor(seeing, 2, tile=16), scene, tmp_path, {})
    took = time.perf_counter() - begin
    assert set(product.seconds) == {"read", "compute", "write"}
    assert all(0 < s <= took for s in product.seconds.values())


_USE = """
import json, pickle, resource, sys
import jax
jax.config.update("jax_num_cpu_devices", 1)
from jointseg_jax.mapping.predictor.memory import memory
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.product.write import write_product

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

with open(sys.argv[1], "rb") as file:
    trained, small, scene = pickle.load(file)
write_product(Predictor(trained, 4, tile=8), small, sys.argv[2] + "/small", {}, quick=False)
before = peak()
predictor = Predictor(trained, 4, tile=96)
stated = memory(predictor)
write_product(predictor, scene, sys.argv[2] + "/map", {}, quick=False)
print(json.dumps([before, peak(), stated.device, stated.host]))
"""


@pytest.mark.slow
def test_memory_is_what_is_stated_and_flat(seeing, picture, ground, tmp_path):
    """In a process of its own: a scene eight times as large takes no more."""
    import pickle

    small = picture(ground(5, 32, 32), "small")
    used = []
    for columns in (96, 768):
        path = tmp_path / f"{columns}.pickle"
        scene = picture(np.tile(ground(6, 96, 96), (1, columns // 96, 1)), f"wide{columns}")
        path.write_bytes(pickle.dumps((seeing, small, scene)))
        out = subprocess.run(
            [sys.executable, "-c", _USE, str(path), str(tmp_path / str(columns))],
            check=True, capture_output=True, text=True, cwd=harness.ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        before, peak, device, host = json.loads(out.stdout.splitlines()[-1])
        used.append(peak - before)
        assert device + host > 0.3 * used[-1]
        assert used[-1] < device + host, (used, device, host)
    assert used[1] < used[0] + 0.25 * (device + host)


def test_memory_grows_with_tile_batch_and_members(seeing):
    def device(**changes):
        return memory(Predictor(seeing, 4, images=False, **changes)).device

    least = device(tile=8)
    assert device(tile=24) > 3 * least
    assert device(tile=8, batch=16) > device(tile=8, batch=8)  # two tiles on each of eight devices
    assert device(tile=8, augment=True) > least
