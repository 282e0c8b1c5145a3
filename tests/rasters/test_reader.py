"""Windows may reach beyond a raster; handles are per thread, bounded and picklable; damage is named."""

import pickle
import threading

import numpy as np
import pytest
import rasterio

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.interpolation import interpolate
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.raster_files import files_behind
from jointseg_jax.rasters.reader import Handles, open_raster, read_mask, read_window
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(0)


@pytest.fixture
def raster(tmp_path):
    values = RNG.integers(1, 999, (50, 70, 2)).astype(np.uint16)
    path = tmp_path / "x.tif"
    write_raster(path, values, Layout(make_lattice("EPSG:32650", 0, 0, 10, 50, 70), "uint16", ("a", "b"), 0))
    return path, values


@pytest.mark.parametrize(
    "window",
    [Window(0, 0, 50, 70), Window(-3, -5, 10, 12), Window(45, 60, 20, 30), Window(90, 0, 4, 4), Window(-9, 3, 80, 5)],
)
def test_windows_beyond_the_edge(raster, window):
    path, values = raster
    with open_raster(path) as dataset:
        found, inside = read_window(dataset, window)
    at = Window(window.row + 100, window.col + 100, window.height, window.width).slices()
    np.testing.assert_array_equal(found, np.pad(values, ((100, 100), (100, 100), (0, 0)))[at])
    np.testing.assert_array_equal(inside, np.pad(np.ones((50, 70), bool), 100)[at])


def test_bands_are_chosen(raster):
    path, values = raster
    with open_raster(path) as dataset:
        found, _ = read_window(dataset, Window(0, 0, 5, 5), (2, 1))
    np.testing.assert_array_equal(found, values[:5, :5, ::-1])


def test_mask_is_the_files_own(tmp_path):
    values = np.ones((20, 20, 3), np.uint8)
    values[:5] = 255
    values[10, 10] = (255, 255, 7)
    path = tmp_path / "m.tif"
    write_raster(path, values, Layout(make_lattice("EPSG:32650", 0, 0, 10, 20, 20), "uint8", ("R", "G", "B"), 255))
    with open_raster(path) as dataset:
        mask = read_mask(dataset, Window(-2, 0, 20, 20))
    assert not mask[:7].any()
    assert mask[7:, :].all()


def test_handles_are_bounded_and_per_thread(tmp_path):
    paths = []
    for i in range(6):
        path = tmp_path / f"{i}.tif"
        write_raster(
            path, np.full((4, 4), i, np.uint8), Layout(make_lattice("EPSG:32650", 0, 0, 1, 4, 4), "uint8", ("a",))
        )
        paths.append(str(path))
    handles = Handles(limit=3)
    opened = [handles.get(p) for p in paths]
    assert [h.closed for h in opened] == [True, True, True, False, False, False]
    assert handles.get(paths[5]) is opened[5]
    other: list[object] = []
    thread = threading.Thread(target=lambda: other.append(handles.get(paths[5])))
    thread.start()
    thread.join()
    assert other[0] is not opened[5]
    copied = pickle.loads(pickle.dumps(handles))
    assert copied.get(paths[5]) is not opened[5]
    handles.close()
    assert opened[5].closed


@pytest.mark.parametrize("keep", [0, 40, 700])
def test_damage_is_named(raster, keep):
    path, _ = raster
    content = path.read_bytes()
    path.write_bytes(content[:keep] if keep < 100 else content[:-3000])
    with pytest.raises(InputError, match=r"x\.tif"), open_raster(path) as dataset:
        read_window(dataset, Window(0, 0, 50, 70))


def test_files_behind_a_virtual_raster(raster, tmp_path):
    path, _ = raster
    for name, source in (("inner.vrt", path), ("outer.vrt", tmp_path / "inner.vrt")):
        (tmp_path / name).write_text(
            f"""<VRTDataset rasterXSize="70" rasterYSize="50"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>
            <SourceFilename relativeToVRT="1">{source.name}</SourceFilename><SourceBand>1</SourceBand>
            </SimpleSource></VRTRasterBand></VRTDataset>"""
        )
    (tmp_path / "x.tif.ovr").write_bytes(b"")
    assert files_behind(path) == [path]
    assert files_behind(tmp_path / "outer.vrt") == [tmp_path / "inner.vrt", tmp_path / "outer.vrt", path]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tif cannot be opened"):
        open_raster(tmp_path / "gone.tif")


@pytest.mark.parametrize("factor", [2, 6])
def test_interpolation_does_not_depend_on_the_window(factor):
    """20 m and 60 m bands on the 10 m lattice: every phase of the window gives the same values as the whole."""
    coarse = RNG.random((9, 11, 2)).astype(np.float32)
    holes = RNG.random((9, 11)) > 0.2

    def read(w):
        padded = np.pad(coarse, ((40, 40), (40, 40), (0, 0)))
        valid = np.pad(holes, 40)
        at = Window(w.row + 40, w.col + 40, w.height, w.width).slices()
        return padded[at], valid[at]

    whole, whole_valid = interpolate(read, Window(0, 0, 9 * factor, 11 * factor), factor, (9, 11))
    for row in range(0, 2 * factor):
        for col in (0, 1, factor, 2 * factor - 1):
            part, part_valid = interpolate(read, Window(row, col, 7, 8), factor, (9, 11))
            np.testing.assert_array_equal(part, whole[row : row + 7, col : col + 8])
            np.testing.assert_array_equal(part_valid, whole_valid[row : row + 7, col : col + 8])
    np.testing.assert_array_equal(whole_valid, np.repeat(np.repeat(holes, factor, 0), factor, 1))
    beyond, beyond_valid = interpolate(read, Window(-4, -4, 6, 6), factor, (9, 11))
    assert not beyond_valid[:4].any()
    assert not beyond[:4].any()


def test_interpolation_is_bilinear():
    """A plane is reproduced exactly away from the edge."""
    rows, cols = np.mgrid[0:8, 0:8].astype(np.float32)
    plane = (2 * rows + 3 * cols)[..., None]

    def read(w):
        padded = np.pad(plane, ((4, 4), (4, 4), (0, 0)), mode="edge")
        valid = np.pad(np.ones((8, 8), bool), 4)
        at = Window(w.row + 4, w.col + 4, w.height, w.width).slices()
        return padded[at], valid[at]

    fine, _ = interpolate(read, Window(0, 0, 16, 16), 2, (8, 8))
    r, c = (np.mgrid[0:16, 0:16] + 0.5) / 2 - 0.5
    np.testing.assert_allclose(fine[1:-1, 1:-1, 0], (2 * r + 3 * c)[1:-1, 1:-1], atol=1e-5)


def test_a_file_that_comes_back_is_read_after_all(tmp_path):
    """GDAL says the same of a truncated file and of one whose server is away: it is tried again first."""
    numbers = np.arange(128 * 128, dtype=np.uint16).reshape(128, 128, 1)
    write_raster(tmp_path / "a.tif", numbers, Layout(make_lattice("EPSG:32650", 0, 0, 10, 128, 128), "uint16", ("a",)))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) * 2 // 3])

    def restore():
        (tmp_path / "b.tif").write_bytes(whole)
        (tmp_path / "b.tif").replace(tmp_path / "a.tif")

    with open_raster(tmp_path / "a.tif") as raster:
        timer = threading.Timer(0.1, restore)
        timer.start()
        values, _ = read_window(raster, Window(0, 0, 128, 128))
        timer.join()
    np.testing.assert_array_equal(values, numbers)


def test_a_file_that_is_missing_is_not_waited_for(monkeypatch):
    from jointseg_jax.storage import retries

    monkeypatch.setattr(retries.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(InputError, match=r"/nonexistent\.tif cannot be opened"):
        open_raster("/nonexistent.tif")


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("uint16", "float32"), r"different number types in bands \[1, 2\] \(uint16, float32\)"),
        (("complex64", "complex64"), "complex numbers"),
        (("complex_int16", "complex_int16"), "complex numbers"),
    ],
)
def test_bands_hold_real_numbers_of_one_type(tmp_path, kinds, message):
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, 8, 8)
    bands = ""
    for number, kind in enumerate(kinds, start=1):
        profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "crs": "EPSG:32650", "dtype": kind}
        with rasterio.open(tmp_path / f"{number}.tif", "w", transform=lattice.affine, **profile) as raster:
            raster.write(np.full((1, 8, 8), number, "complex64" if "complex" in kind else kind))
        name = {"uint16": "UInt16", "float32": "Float32", "complex64": "CFloat32", "complex_int16": "CInt16"}[kind]
        bands += (
            f'<VRTRasterBand dataType="{name}" band="{number}"><SimpleSource><SourceFilename relativeToVRT="1">{number}'
            ".tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        )
    (tmp_path / "s.vrt").write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{bands}</VRTDataset>')
    with open_raster(tmp_path / "s.vrt") as raster:
        with pytest.raises(InputError, match=message):
            read_window(raster, Window(0, 0, 8, 8))
        if kinds[0] == "uint16":  # what is not read does not matter
            assert (read_window(raster, Window(0, 0, 8, 8), (2,))[0] == 2).all()
