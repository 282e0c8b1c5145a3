"""Records say what version wrote them, and are what was written."""

import json

import pytest

from jointseg_jax.storage import formats

pytestmark = pytest.mark.quick

KIND = formats.Format("thing", 3, "make it again")
RECORD = {"b": [1, 2.5, None], "a": {"é": "x"}}


def test_a_record_comes_back(tmp_path):
    formats.write_record(tmp_path / "a.json", RECORD, KIND)
    assert formats.read_record(tmp_path / "a.json", KIND) == RECORD


def test_version_1_said_nothing_of_itself(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(RECORD))
    assert formats.read_record(tmp_path / "a.json", KIND) == RECORD


def test_a_newer_version_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "__version__", "7.1")
    formats.write_record(tmp_path / "a.json", {}, formats.Format("thing", 4, ""))
    monkeypatch.undo()
    with pytest.raises(
        formats.Newer,
        match=r"a\.json was written by jointseg-jax 7\.1 \(thing format 4\), which is newer than this .*upgrade",
    ):
        formats.read_record(tmp_path / "a.json", KIND)


def test_every_flipped_bit_is_noticed(tmp_path):
    """JSON has blanks that say nothing: what is read is then the same."""
    path = tmp_path / "a.json"
    formats.write_record(path, RECORD, KIND)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        torn = bytearray(whole)
        torn[bit // 8] ^= 1 << bit % 8
        path.write_bytes(torn)
        try:
            assert formats.read_record(path, KIND) == RECORD, bit
        except (formats.Damaged, formats.Newer) as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "\xff", "[" * 100_000, '{"format": 3}', '{"format": {"name": "x"}}']
)
def test_what_is_no_record_is_damaged(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(formats.Damaged, match=r"a\.json is damaged \(.*\): make it again"):
        formats.read_record(tmp_path / "a.json", KIND)
