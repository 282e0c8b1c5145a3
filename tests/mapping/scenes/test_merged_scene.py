"""Several scenes as one: a pixel is wholly from the first scene that has data there, whatever window asks."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area.overlap import compare_overlaps
from jointseg_jax.mapping.scenes.merged_scene import merge_scenes
from jointseg_jax.rasters.lattice import Window, crop
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles


@pytest.fixture(scope="module")
def scenes(raw, data, tmp_path_factory):
    """Two scenes of the same ground, the second moved by 7 columns and 5 rows; the first has a hole."""
    folder = tmp_path_factory.mktemp("scenes")
    shutil.copytree(raw / "a", folder / "first")
    shutil.copytree(raw / "b", folder / "second")

    def hole(stack):
        stack[:, 10:14, 20:25] = 0
        return stack

    toy.rewrite(folder / "first" / "s2.tif", values=hole)
    first = open_scene(folder / "first", data.contract).scene
    second = open_scene(folder / "second", data.contract).scene
    import dataclasses

    return first, dataclasses.replace(second, lattice=_moved(first.lattice, 5, 7))


def _moved(lattice, rows, cols):
    height, width = lattice.shape
    return crop(lattice, Window(rows, cols, height, width))


@pytest.fixture
def handles():
    made = Handles()
    yield made
    made.close()


def test_one_scene_is_itself(scenes, data, handles):
    first, _ = scenes
    ground = merge_scenes("t", crop(first.lattice, Window(4, 6, 20, 22)), [first], data.contract)
    window = Window(-9, -8, 40, 50)  # beyond the tile, and beyond the scene
    ours, theirs = ground.read(window, handles), first.read(Window(-5, -2, 40, 50), handles)
    for name in theirs:
        for key in theirs[name]:
            np.testing.assert_array_equal(ours[name][key], theirs[name][key])


def test_pixel_by_pixel(scenes, data, handles):
    """Against a plain loop over pixels, each modality, in the hole, in the halo and beyond both."""
    first, second = scenes
    ground = merge_scenes("t", first.lattice, [first, second], data.contract)
    window = Window(-4, -3, 48, 60)
    result, chosen = ground.read_chosen(window, handles)
    a, b = first.read(window, handles), second.read(Window(-9, -10, 48, 60), handles)
    expected = np.full((48, 60), 255)
    for row, col in np.ndindex(48, 60):
        for number, source in enumerate((a, b)):
            if source["s2"]["valid"][0, row, col]:
                expected[row, col] = number
                for name in source:
                    for key in source[name]:
                        np.testing.assert_array_equal(result[name][key][:, row, col], source[name][key][:, row, col])
                break
        else:
            inside = [
                s for s, (top, left) in ((a, (4, 3)), (b, (9, 10))) if top <= row < top + 36 and left <= col < left + 42
            ]
            for name in result:
                for key in result[name]:
                    wanted = inside[0][name][key][:, row, col] if inside else 0
                    np.testing.assert_array_equal(result[name][key][:, row, col], wanted)
    np.testing.assert_array_equal(chosen, expected)
    assert set(np.unique(chosen)) == {0, 1, 255}
    assert (chosen[14:18, 23:28] == 1).all()  # the hole of the first
    first, second = (ground.valid_of(number, window, handles) for number in (0, 1))
    np.testing.assert_array_equal(np.where(first, 0, np.where(second, 1, 255)), chosen)


def test_a_value_does_not_depend_on_the_window(scenes, data, handles):
    ground = merge_scenes("t", scenes[0].lattice, list(scenes), data.contract)
    whole = ground.read(Window(-4, -3, 48, 60), handles)
    for window in (Window(1, 2, 9, 11), Window(12, 18, 7, 9), Window(30, 38, 14, 19)):
        part = ground.read(window, handles)
        at = (slice(None), *Window(window.row + 4, window.col + 3, window.height, window.width).slices())
        for name in part:
            for key in part[name]:
                np.testing.assert_array_equal(part[name][key], whole[name][key][at])


def test_order_is_preference(scenes, data, handles):
    ground = merge_scenes("t", scenes[0].lattice, list(scenes), data.contract)
    turned = ground.preferring(1)
    window = Window(0, 0, 36, 42)
    np.testing.assert_array_equal(turned.valid_of(0, window, handles), ground.valid_of(1, window, handles))
    assert ground.own_units


def test_a_scene_between_the_pixels_is_refused(scenes, data):
    import dataclasses

    from affine import Affine
    from odc.geo.geobox import GeoBox

    first, second = scenes
    off = GeoBox(second.lattice.shape, Affine.translation(3, 0) * second.lattice.affine, second.lattice.crs)
    with pytest.raises(InputError, match="fraction of a pixel"):
        merge_scenes("t", first.lattice, [first, dataclasses.replace(second, lattice=off)], data.contract)


def test_scenes_are_compared_one_after_the_other():
    """Two runs of the network at once would take twice the memory that mapping is said to take."""
    running, most = [], []

    class Watched:
        tile = 4
        trained = SimpleNamespace(meta=SimpleNamespace(calibration=SimpleNamespace(threshold=0.5)))

        def run_windows(self, share, windows):
            running.append(share)
            most.append(len(running))
            for number, _ in enumerate(windows):
                yield SimpleNamespace(window=windows[number], probability=np.full((40, 40), share * (number + 1)))
            running.remove(share)

    valid = np.ones((4, 8), bool)
    ground = SimpleNamespace(preferring=lambda k: (0.2, 0.3)[k])
    (found,) = compare_overlaps(Watched(), ground, [valid, valid], ["a", "b"])
    assert max(most) == 1
    assert (found["windows"], found["pixels"], found["class_agreement"]) == (2, 3200, 0.5)
    assert found["mean_difference"] == pytest.approx(0.15)
