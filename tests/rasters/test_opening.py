"""What may be opened as a raster: local files of a few kinds, and nothing that leads elsewhere."""

import os
import socket
import threading
import types

import numpy as np
import pytest
import rasterio
from rasterio.vrt import WarpedVRT

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import opening
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.opening import check_proj, is_raster, open_raster
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

NUMBERS = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64, 1) % 251
SOURCE = "<SimpleSource><SourceFilename{}>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"


def vrt(inside, kind="", band=""):
    return (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"{kind}><VRTRasterBand dataType="Byte" band="1"{band}>{inside}'
        "</VRTRasterBand></VRTDataset>"
    )


def write(path):
    write_raster(path, NUMBERS, Layout(make_lattice("EPSG:32650", 500_000, 3_400_000, 10, 64, 64), "uint8", ("a",)))
    return path


@pytest.fixture
def listener(monkeypatch):
    """A port of this machine; `accept` of the socket fails as long as nobody has connected."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def hostile(kind, folder, url):
    """A raster that leads to `url`, or to what is no raster."""
    path = folder / "scene.tif"
    remote = vrt(SOURCE.format("", f"/vsicurl/{url}/a.tif"))
    if kind == "overviews":
        with rasterio.open(write(path), "r+") as raster:
            raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{url}/a.tif")
    elif kind == "overviews of a source":
        hostile("overviews", folder, url)
        path = folder / "mosaic.vrt"
        path.write_text(vrt(SOURCE.format(' relativeToVRT="1"', "scene.tif")))
    elif kind == "side-car":
        write(path)
        (folder / "scene.tif.ovr").write_text(remote)
    elif kind == "nested":
        (folder / "inner.tif").write_text(remote)
        path.write_text(vrt(SOURCE.format(' relativeToVRT="1"', "inner.tif")))
    elif kind == "WMS":
        path.write_text(
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service></GDAL_WMS>'
        )
    elif kind == "capitals":
        path.write_text(remote.replace("SourceFilename", "SOURCEFILENAME"))
    else:
        source = {"VRT": f"/vsicurl/{url}/a.tif", "address": f"{url}/a.tif", "inline": remote.replace("<", "&lt;")}
        path.write_text(vrt(SOURCE.format("", source[kind])))
    return path


def look(path):
    """What would ask the other machine."""
    with open_raster(path) as raster:
        raster.overviews(1)
        raster.read(out_shape=(1, 8, 8))


@pytest.mark.parametrize(
    "kind",
    ["VRT", "address", "inline", "capitals", "nested", "WMS", "overviews", "overviews of a source", "side-car"],
)
def test_no_raster_leads_to_another_machine(tmp_path, listener, kind):
    path = hostile(kind, tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(InputError, match=path.name) as caught:
        look(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (vrt("<SourceFilename>secret.txt</SourceFilename>", band=' subClass="VRTRawRasterBand"'), "VRTRawRasterBand"),
        (
            vrt("<PixelFunctionLanguage>Python</PixelFunctionLanguage>", band=' subClass="VRTDerivedRasterBand"'),
            "embedded code",
        ),
        (vrt("", kind=' subClass="VRTPansharpenedDataset"'), "VRTPansharpenedDataset"),
        (vrt(SOURCE.format(' relativeToVRT="1"', "secret.txt")), r"secret\.txt is not a GeoTIFF"),
        (vrt(SOURCE.format(' relativeToVRT="1"', "scene.tif")), "in a circle"),
        (vrt(SOURCE.format("", "") + "<OpenOptions><OOI key='ROOT_PATH'>/</OOI></OpenOptions>"), "source|option"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]>' + vrt("&b;"), "document type"),
        (vrt("")[:-3], "cannot be read as a virtual raster"),
        (vrt("")[:60] + "\xe9", "scene"),
        ("<p><VRTDataset/></p>", "but a <p>"),
        ("# A heading", "is not a GeoTIFF"),
    ],
    ids=lambda v: v[-40:],
)
def test_what_is_no_raster_of_pixels_is_refused(tmp_path, text, message):
    (tmp_path / "secret.txt").write_text("user:password")
    (tmp_path / "scene.tif").write_text(text)
    with pytest.raises(InputError, match=message):
        open_raster(tmp_path / "scene.tif")


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:9/a.tif", "s3://bucket/a.tif", "https:/x/a.tif"])
def test_remote_names_are_refused(name):
    with pytest.raises(InputError, match="JOINTSEG_REMOTE=1"):
        open_raster(name)


def test_remote_sources_where_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("JOINTSEG_REMOTE", "1")
    write(tmp_path / "a.tif")
    (tmp_path / "scene.vrt").write_text(vrt(SOURCE.format("", f"/vsisubfile/0,/{tmp_path}/a.tif")))
    with open_raster(tmp_path / "scene.vrt") as raster:
        np.testing.assert_array_equal(raster.read(1), NUMBERS[..., 0])


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "s.tif")
    (tmp_path / "m.vrt").write_text(vrt(SOURCE.format(' relativeToVRT="1"', "s.tif")))
    found = []

    def attempt():
        for name in ("s.tif", "m.vrt"):
            with pytest.raises(InputError, match=r"s\.tif is a pipe") as caught:
                open_raster(tmp_path / name)
            found.append(caught)

    worker = threading.Thread(target=attempt, daemon=True)
    worker.start()
    worker.join(10)
    assert len(found) == 2
    with pytest.raises(InputError, match="is a folder"):
        open_raster(tmp_path)


def test_local_kinds_are_read(tmp_path):
    """A warped view in a file, a virtual raster behind a link, PNG, JPEG and JPEG 2000 under any name."""
    write(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as raster, WarpedVRT(raster, crs="EPSG:32651") as view:
        rasterio.shutil.copy(view, tmp_path / "warped.vrt", driver="VRT")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "m.vrt").write_text(vrt(SOURCE.format(' relativeToVRT="1"', "../a.tif")))
    (tmp_path / "link.tif").symlink_to(tmp_path / "deep" / "m.vrt")
    for driver in ("PNG", "JPEG", "JP2OpenJPEG"):
        rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / f"{driver}.tif", driver=driver)
    for name in ("warped.vrt", "link.tif", "PNG.tif", "JPEG.tif", "JP2OpenJPEG.tif"):
        assert is_raster(tmp_path / name)
        with open_raster(tmp_path / name) as raster:
            assert raster.read(1).any()


def test_names_of_any_letters(tmp_path):
    write(tmp_path / "a:b é.tif")
    with open_raster(tmp_path / "a:b é.tif") as raster:
        assert raster.shape == (64, 64)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/l\xe4ke.tif")
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        open_raster(strange)
    str(caught.value).encode("ascii")  # can be printed anywhere


def test_tables_of_another_proj_are_named(monkeypatch):
    def fail(_):
        raise rasterio.errors.CRSError("It comes from another PROJ installation.")

    check_proj.cache_clear()
    monkeypatch.setenv("PROJ_LIB", "/elsewhere")
    monkeypatch.setattr(opening, "CRS", types.SimpleNamespace(from_epsg=fail))
    with pytest.raises(InputError, match="PROJ_LIB=/elsewhere points to the database of another PROJ"):
        open_raster("a.tif")


def test_a_pipe_beside_a_raster_is_not_waited_for(tmp_path):
    write(tmp_path / "a.tif")
    os.mkfifo(tmp_path / "a.tif.aux.xml")
    with pytest.raises(InputError, match=r"a\.tif\.aux\.xml, which GDAL would read with a\.tif, is not a file"):
        open_raster(tmp_path / "a.tif")
