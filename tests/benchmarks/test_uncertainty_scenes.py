"""The measurement of calibrations on new scenes, on the four toy sites."""

import json

import numpy as np
import pytest

from benchmarks import uncertainty_scenes

KINDS = ("blocks, together", "blocks, widest", "scenes, together", "scenes, widest")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Of a site 6 hectares are used: half of its blocks calibrate, for half of the truth."""
    monkeypatch.setattr(uncertainty_scenes, "MOST", 24)
    monkeypatch.setattr(uncertainty_scenes, "ALPHA", 0.5)
    monkeypatch.setattr(uncertainty_scenes, "_BLOCK", 12)
    monkeypatch.setattr(uncertainty_scenes, "_SHARE", 0.5)


def test_the_table_and_its_figures(toy_config, data, capsys):
    assert uncertainty_scenes.main([f"--dataset={toy_config.dataset.path}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    record = json.loads(printed[-1])
    assert (record["scenes"], record["asked"], tuple(record["held"])) == (4, 0.5, KINDS)
    assert [line.split(" | ")[0] for line in printed[2:6]] == [f"| {kind}" for kind in KINDS]
    held = {kind: np.array([found[name] for name in data.sites]) for kind, found in record["held"].items()}
    for kind, figures in held.items():
        assert figures.shape == (4, 9)
        assert ((figures >= 0) & (figures <= 1)).all()
        assert figures[:, :2].mean() > 0.4, kind  # of the true classes; the toy sites are alike
    for kind in ("blocks", "scenes"):  # the widest are never narrower
        assert (held[f"{kind}, widest"][:, [0, 1, 4, 6, 8]] >= held[f"{kind}, together"][:, [0, 1, 4, 6, 8]]).all()


def test_the_scene_left_out_decides_nothing(data, monkeypatch):
    """With another truth on it, what calibrates for it stays the same to the bit."""
    read, seen = uncertainty_scenes.read, []

    def turned(given, name, rng):
        scene = read(given, name, rng)
        label = np.where(scene.label <= 1, 1 - scene.label, scene.label) if name == "d" else scene.label
        return scene._replace(label=label)

    def noted(sites, new):
        seen.append(([site.pixels for site in sites], new.pixels))
        return [0.0]

    monkeypatch.setattr(uncertainty_scenes, "held", noted)
    uncertainty_scenes.measure(data)
    monkeypatch.setattr(uncertainty_scenes, "read", turned)
    uncertainty_scenes.measure(data)
    ours, theirs = seen[12:16], seen[28:32]  # the four kinds of the last scene, of both
    for (sites, new), (sites_turned, new_turned) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(sites, sites_turned)
        np.testing.assert_array_equal(new, new_turned[::-1])
    assert any(not np.array_equal(a, b) for a, b in zip(seen[0][0], seen[16][0], strict=True))
