"""What a plan may expect: from what was measured with the same settings, and nothing else."""

import pytest

from jointseg_jax.mapping.area import rates
from jointseg_jax.mapping.area.product_plan import Settings

SETTINGS = Settings(grid=10240, halo=8, tile=64)


def row(km2, seconds, size=1000):
    return {"owned_m2": km2 * 1e6, "seconds": {"total": seconds}, "files": {"a": {"bytes": size}, "b": {"bytes": size}}}


def test_nothing_is_promised_before_it_was_measured(tmp_path):
    assert rates.expect(tmp_path, SETTINGS, 10.0) is None
    rates.keep(tmp_path, Settings(grid=10240, halo=8, tile=64, augment=True), [row(1, 1)])
    assert rates.expect(tmp_path, SETTINGS, 10.0) is None
    for torn in ("", "torn", "[]", '{"a": 1}', '{"a": {"km2": "x"}}'):
        (tmp_path / rates.FILE).write_text(torn)
        assert rates.expect(tmp_path, SETTINGS, 10.0) is None
        rates.keep(tmp_path, Settings(halo=9), [row(1, 1)])


def test_compiling_does_not_count(tmp_path):
    rates.keep(tmp_path, SETTINGS, [row(1, 300), row(1, 2), row(1, 2), row(0.001, 1)])
    expected = rates.expect(tmp_path, Settings(grid=300, halo=8, tile=64), 30.0)
    assert expected["seconds"] == pytest.approx(60)
    assert expected["bytes"] == pytest.approx(30 * 8000 / 3.001)
    rates.keep(tmp_path, SETTINGS, [row(3.001, 3 * 3.001)])
    assert rates.expect(tmp_path, SETTINGS, 1.0)["seconds"] == pytest.approx(2.5)


def test_durations_in_words():
    assert [rates.hours(s) for s in (5, 300, 7200, 7.2e6)] == ["5 s", "5 min", "2.0 h", "2,000.0 h"]
