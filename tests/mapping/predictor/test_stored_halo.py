"""The halo beside a checkpoint: kept, read again, and measured again when it cannot be right."""

import dataclasses
import errno

import jax
import pytest

from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import write_json


@pytest.fixture
def four(trained, monkeypatch, tmp_path):
    """A network whose halo is measured as 4, and how often it was."""
    calls = []

    def measure(*_):
        calls.append(1)
        return halos.HaloMeasurement(4, {"2": 0.1, "4": 0.0}, 48, met=True)

    monkeypatch.setattr(halos, "measure", measure)
    return dataclasses.replace(trained, workdir=tmp_path), calls


@pytest.mark.parametrize("wrong", [0, 1, -5, 10**9, 4.0, "4", None, True, 3])
@pytest.mark.parametrize("version", [1, 2])
def test_a_halo_that_cannot_have_been_measured_is_measured_again(four, data, wrong, version):
    network, calls = four
    halos.halo_for(network, data.scene("d"))
    path = halos.kept_at(network)
    record = formats.read_record(path, formats.HALO) | {"halo": wrong}
    if version == 1:
        write_json(path, record)
    else:
        formats.write_record(path, record, formats.HALO)
    lines: list[str] = []
    assert halos.halo_for(network, data.scene("d"), say=lines.append) == 4
    assert len(calls) == 2
    why = "contains an impossible halo" if type(wrong) is int else "is damaged, or of a newer version"
    assert f"{why}: the halo is measured again" in lines[0]
    assert halos.kept(network).halo == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_torn_halo_is_measured_again(four, data, content):
    network, calls = four
    halos.kept_at(network).write_bytes(content)
    lines: list[str] = []
    assert halos.halo_for(network, data.scene("d"), say=lines.append) == 4
    assert "the halo is measured again" in lines[0]
    assert halos.halo_for(network, data.scene("d")) == 4
    assert len(calls) == 1


def test_a_halo_of_version_1_is_read(four, data):
    network, calls = four
    halos.halo_for(network, data.scene("d"))
    path = halos.kept_at(network)
    write_json(path, formats.read_record(path, formats.HALO))
    assert halos.halo_for(network, data.scene("d")) == 4
    assert len(calls) == 1


def test_a_work_directory_that_cannot_be_written_costs_no_halo(four, data, monkeypatch):
    """It is measured once per process, and said."""
    network, calls = four

    def read_only(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(formats, "write_record", read_only)
    lines: list[str] = []
    assert [halos.halo_for(network, data.scene("d"), say=lines.append) for _ in range(2)] == [4, 4]
    assert len(calls) == 1
    assert len(lines) == 1
    assert "4 input pixels, not stored: " in lines[0]
    assert "Read-only file system" in lines[0]
    assert halos.kept(network).halo == 4
    assert not halos.kept_at(network).exists()


def test_every_checkpoint_keeps_its_own_halo(trained, data, monkeypatch, tmp_path):
    """To look at another one in between changes nothing; trained anew in the same folder it is another."""
    scene = data.scene("d")
    first = dataclasses.replace(trained, workdir=tmp_path, step=1)
    others = [dataclasses.replace(first, step=2), dataclasses.replace(first, weights="raw")]
    anew = dataclasses.replace(first, params=jax.tree.map(lambda x: x + 1, trained.params))
    for number, network in enumerate([first, *others], start=4):
        monkeypatch.setattr(
            halos, "measure", lambda *_, n=number: halos.HaloMeasurement(n, {str(n): 0.0}, 48, met=True)
        )
        assert halos.halo_for(network, scene) == number
    assert [halos.halo_for(network, scene) for network in (first, *others)] == [4, 5, 6]
    assert halos.kept(anew) is None
