"""Rasters of a real server on loopback, by http and s3: read, retried, refused in one sentence, known by a stamp."""

import numpy as np
import pytest
from web_server import serving

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote, stamps
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.rasters.virtual.band_stack import Band, stack_bands
from jointseg_jax.rasters.writer import Layout, write_raster

NUMBERS = np.random.default_rng(0).integers(1, 60_000, (160, 160, 1)).astype(np.uint16)
WHOLE = Window(0, 0, 160, 160)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves one raster; GDAL keeps answers by address, so every test has a port of its own."""
    monkeypatch.setenv(remote.REMOTE, "1")
    for name, value in {"MAX_RETRY": "2", "RETRY_DELAY": "0.01", "LOW_SPEED_TIME": "1"}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", value)
    monkeypatch.setattr(remote, "PATIENCE", 10.0)
    write(tmp_path / "web" / "a.tif")
    with serving(tmp_path / "web") as server:
        yield server


def write(path, numbers=NUMBERS):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raster(
        path, numbers, Layout(make_lattice("EPSG:32650", 500_000, 3_400_000, 10, 160, 160), "uint16", ("B02",))
    )


def read(path):
    with open_raster(path) as raster:
        return read_window(raster, WHOLE)[0]


@pytest.fixture
def bucket(server, monkeypatch):
    """The same files as a bucket `web`: paths begin with its name."""
    (server.folder / "web").symlink_to(server.folder, target_is_directory=True)
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.address.removeprefix("http://"))
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("https://host/a/b.tif", "/vsicurl/https:/host/a/b.tif"),
        ("https:/host/a/b.tif", "/vsicurl/https:/host/a/b.tif"),  # a `Path` of an address
        ("https://host/b.tif?x=1//2", "/vsicurl/https:/host/b.tif?x=1%2F%2F2"),
        ("s3://bucket/a.tif", "/vsis3/bucket/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("az://container/a.tif", "/vsiaz/container/a.tif"),
        ("/vsicurl/https://host/a.tif", "/vsicurl/https:/host/a.tif"),
        ("folder/a.tif", "folder/a.tif"),
    ],
)
def test_addresses_become_paths_and_permit_reading(monkeypatch, text, path):
    monkeypatch.setenv(remote.REMOTE, "")
    monkeypatch.delenv(remote.REMOTE)
    found = remote.path_of(text)
    assert str(found) == path
    assert remote.allowed() == remote.is_remote(found) == (path != text or path.startswith("/vsi"))
    if "host/a/b" in text:
        assert remote.address(found) == "https://host/a/b.tif"
        assert remote.gdal_name(found) == "/vsicurl/https://host/a/b.tif"


def test_a_raster_is_read_by_http_and_by_s3(server, bucket):
    for text in (f"{server.address}/a.tif", f"/vsicurl/{server.address}/a.tif", "s3://web/a.tif"):
        np.testing.assert_array_equal(read(remote.path_of(text)), NUMBERS)
    assert {p.partition("?")[0] for _, p, _ in server.requests} == {"/a.tif", "/web/a.tif"}  # and no side-cars


def test_its_bands_are_stacked_by_address(server, tmp_path):
    path = remote.path_of(f"{server.address}/a.tif")
    stack_bands(tmp_path / "s.vrt", [Band(path, 1, "B02")], {})
    np.testing.assert_array_equal(read(tmp_path / "s.vrt"), NUMBERS)


@pytest.mark.parametrize("fault", [503, "reset", "cut"])
@pytest.mark.parametrize("through", ["http", "s3", "vrt"])
def test_what_may_pass_is_tried_again(server, bucket, tmp_path, fault, through):
    """In the first request, and in a later one: GDAL would keep the error or the cut answer for ever."""
    (path, name) = ("s3://web/a.tif", "/web/a.tif") if through == "s3" else (f"{server.address}/a.tif", "/a.tif")
    path = remote.path_of(path)
    server.faults[name] = [fault] * 2
    with open_raster(path) as raster:
        assert raster.shape == (160, 160)
    if through == "vrt":
        stack_bands(tmp_path / "s.vrt", [Band(path, 1, "B02")], {})
        path = tmp_path / "s.vrt"
    with open_raster(path) as raster:
        server.faults[name] = [fault] * 2
        np.testing.assert_array_equal(read_window(raster, WHOLE)[0], NUMBERS)
        np.testing.assert_array_equal(read_window(raster, WHOLE)[0], NUMBERS)
    assert server.faults[name] == []


def test_a_server_that_hangs_is_left_and_asked_again(server):
    server.faults["/a.tif"] = [2.5]
    np.testing.assert_array_equal(read(remote.path_of(f"{server.address}/a.tif")), NUMBERS)
    assert server.asked("/a.tif", "HEAD") == 2


def test_what_is_missing_or_refused_is_one_sentence_at_once(server, bucket):
    server.faults |= {p: [403] * 99 for p in ("/closed.tif", "/web/closed.tif")}
    for text, message in (
        ("{}/none.tif?signature=abc", "{}/none.tif does not exist .HTTP 404.: correct the address"),
        ("s3://web/none.tif", "s3://web/none.tif does not exist"),
        (
            "{}/closed.tif?signature=abc",
            "closed.tif may not be read .HTTP 403.: set .* GDAL_HTTP_BEARER .* signed address",
        ),
        ("s3://web/closed.tif", "s3://web/closed.tif may not be read .HTTP 403.: set .* AWS_SECRET_ACCESS_KEY"),
    ):
        server.requests.clear()
        with pytest.raises(InputError, match=message.format(server.address)) as caught:
            open_raster(remote.path_of(text.format(server.address)))
        assert "signature" not in str(caught.value)
        assert len([1 for m, p, _ in server.requests if "?delimiter" not in p]) == 1


def test_a_bucket_without_credentials_names_the_variables(server, bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    with pytest.raises(InputError, match=r"no credentials were found.: set .* AWS_ACCESS_KEY_ID"):
        open_raster(remote.path_of("s3://web/b.tif"))


def test_a_server_that_stays_away_is_one_sentence(server, monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 1.0)
    server.faults["/a.tif"] = [503] * 99
    with pytest.raises(InputError, match=r"could not be read over the network .HTTP 503.*: run the command again"):
        open_raster(remote.path_of(f"{server.address}/a.tif"))
    assert server.asked("/a.tif") > 3


def test_a_page_of_words_is_no_raster(server):
    (server.folder / "a.tif").write_text("<html>moved</html>")
    with pytest.raises(InputError, match="must be a GeoTIFF"):
        open_raster(remote.path_of(f"{server.address}/a.tif"))


def test_where_it_is_forbidden_nothing_is_asked_for(server, monkeypatch):
    monkeypatch.setenv(remote.REMOTE, "0")
    with pytest.raises(InputError, match="JOINTSEG_REMOTE=1"):
        open_raster(remote.path_of(f"{server.address}/a.tif"))
    assert server.requests == []


@pytest.mark.parametrize("kind", ["etag", "bucket"])
def test_a_stamp_changes_with_the_file_and_only_then(server, bucket, monkeypatch, kind):
    """Of a bucket by the places of its blocks: GDAL alone has the credentials."""
    path = remote.path_of("s3://web/a.tif" if kind == "bucket" else f"{server.address}/a.tif?signature=abc")
    monkeypatch.setattr(stamps, "_REMEMBERED", 1e-9)
    first = stamps.stamp(path)
    (server.folder / "a.tif").touch()
    assert stamps.stamp(path) == first
    write(server.folder / "a.tif", NUMBERS // 7)
    with remote.uncached(), open_raster(path):
        pass
    assert stamps.stamp(path) != first
    assert "signature" not in str(stamps.stamps_of({"s2": [path]}))


def test_stamps_of_a_stack_are_those_of_its_files(server, tmp_path):
    path = remote.path_of(f"{server.address}/a.tif")
    stack_bands(tmp_path / "s.vrt", [Band(path, 1, "B02")], {})
    found = stamps.stamps_of({"s2": [tmp_path / "s.vrt"]})
    assert [file for file, *_ in found] == [str(tmp_path / "s.vrt"), str(path)]
    assert found[1][1] == (server.folder / "a.tif").stat().st_size
    assert stamps.contents_of(found) == stamps.contents_of(found)


def test_a_thread_reads_through_its_own_handles(server):
    handles = Handles()
    path = str(remote.path_of(f"{server.address}/a.tif"))
    np.testing.assert_array_equal(read_window(handles.get(path), WHOLE)[0], NUMBERS)
    handles.close()
