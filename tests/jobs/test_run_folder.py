"""The folder of a run counts killed processes, keeps reasons of failures, and has an identity."""

import pytest

from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.storage import files

pytestmark = pytest.mark.quick


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "ledger")


def test_kills_are_counted_until_the_attempt_ends(folder):
    assert folder.kills("a") == 0
    assert not folder.path.exists()
    for _ in range(3):
        folder.begin("a")
    assert (folder.kills("a"), folder.kills("b")) == (3, 0)
    folder.end("a")
    folder.end("a")
    assert folder.kills("a") == 0


def test_a_unit_that_was_set_aside_has_a_record_and_no_kills_until_it_is_done(folder):
    folder.begin("a")
    folder.set_aside("a", "its scene is damaged", "Traceback ...")
    record = files.read_json(folder.path / "quarantine" / "a.json")
    assert (record["unit"], record["error"], record["details"]) == ("a", "its scene is damaged", "Traceback ...")
    assert folder.kills("a") == 0
    folder.take_back("a")
    folder.take_back("b")
    assert not (folder.path / "quarantine" / "a.json").exists()


def test_a_folder_keeps_its_identity(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        folder.identity()
    own = folder.identity(create=True)
    assert own == folder.identity() == folder.identity(create=True)
    assert own != RunFolder(tmp_path / "other").identity(create=True)
