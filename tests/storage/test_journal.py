"""Records are whole and in order, whatever the disk does."""

import os

import harness
import pytest

from jointseg_jax.storage.journal import Journal

pytestmark = pytest.mark.quick


def test_records_that_a_full_disk_refuses_are_written_once_there_is_room(tmp_path):
    told = []
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        journal = Journal(disk / "log", lines=True, complain=told.append, limit=100_000)
        journal.append(b"first\n")
        filler = harness.fill(disk)
        for number in range(30):
            journal.append(b"%d" % number + b"x" * 5000 + b"\n")
        assert len(told) == 1
        assert "log cannot be written (No space left on device): the run continues" in told[0]
        assert (disk / "log").read_bytes() == b"first\n"  # no part of a record, though a part would fit
        filler.unlink()
        journal.append(b"last\n")
        journal.close()
        lines = (disk / "log").read_bytes().splitlines()
    assert journal.lost > 0
    assert f"{journal.lost} records were lost" in told[1]
    kept = 30 - journal.lost
    assert lines == [b"first"] + [b"%d" % n + b"x" * 5000 for n in range(kept)] + [b"last"]


def test_a_folder_that_is_missing_is_made_and_a_torn_line_is_ended(tmp_path):
    path = tmp_path / "new" / "log"
    journal = Journal(path, lines=True, complain=print)
    journal.append(b"one\n")
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"half": ')
    again = Journal(path, lines=True, complain=print)
    again.append(b"two\n")
    again.close()
    assert path.read_bytes() == b'one\n{"half": \ntwo\n'


def test_a_part_that_could_not_be_removed_is_removed_later(tmp_path, monkeypatch):
    """A network disk that is away takes back nothing, either."""
    path, told = tmp_path / "log", []
    journal = Journal(path, lines=False, complain=told.append)
    journal.append(b"first")

    def away(*_):
        raise OSError(5, "away")

    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", away)
        patched.setattr(os, "write", lambda file, data: write(file, data[:2]) if len(data) > 4 else away())
        journal.append(b"second")
    assert path.read_bytes() == b"firstse"
    journal.append(b"third")
    journal.close()
    assert path.read_bytes() == b"firstsecondthird"
    assert len(told) == 2


def test_a_file_whose_size_cannot_be_read_keeps_what_it_holds(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_bytes(b"earlier\n")
    journal = Journal(path, lines=True, complain=lambda _: None)

    def away(*_):
        raise OSError(5, "away")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", away)
        journal.append(b"now\n")
    assert path.read_bytes() == b"earlier\n"
    journal.close()
    assert path.read_bytes() == b"earlier\nnow\n"
