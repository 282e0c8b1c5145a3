"""The peer: its process, and that it computes our network."""

import json
import sys

import numpy as np
import pytest
import toy

from benchmarks import measure, report
from benchmarks.peaks import Sizes
from benchmarks.peers.driver import Peer
from benchmarks.subject import Subject, describe, flat
from benchmarks.timing import Failed
from jointseg_jax.errors import InputError


@pytest.fixture
def peer(torch_python, tmp_path):
    peer = Peer(torch_python, tmp_path / "peer.log")
    yield peer
    peer.close()


def load(subject, params, batch, folder):
    np.savez(folder / "load.npz", **params, **flat("batch", batch))
    return describe(subject) | {"arrays": str(folder / "load.npz")}


def ask(peer, subject, folder, **changes):
    """What both make of the same parameters and batch; the network described to the peer may be changed."""
    batch = subject.host_batch()
    params, ours = subject.gradients(batch)
    given = load(subject, params, batch, folder)
    given["network"] = given["network"] | changes
    peer.ask("compare", load=given, result=str(folder / "found.npz"), dtype="float32", limit=120)
    with np.load(folder / "found.npz") as theirs:
        return measure.compared(ours, dict(theirs))


LAYOUTS = {
    "the trunk at 5 m": {},
    "the paper's": {"trunk_spacing": ("10", "2.5"), "lattices": ("1", "5", "10"), "remat": "blocks"},
    "one stage": {"stages": "10"},
    "features resampled both ways": {"trunk_spacing": ("10", "5"), "lattices": ("1", "2", "10"), "back_projections": 0},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_computes_our_network(name, tiny, peer, tmp_path):
    changes = dict(LAYOUTS[name])
    tiny.model = toy.network(changes.pop("stages", "4x2.5"), **changes)
    worst = ask(peer, Subject.of(tiny), tmp_path)
    assert set(worst) == {"loss", "outputs", "gradients"}


@pytest.mark.parametrize("change", [{"window_levels": 1}, {"image_index": [1, 0, 2]}])
def test_another_network_is_refused(change, tiny, peer, tmp_path):
    with pytest.raises(InputError, match="computes another network"):
        ask(peer, Subject.of(tiny), tmp_path, **change)


def test_another_size_is_refused(tiny, peer, tmp_path):
    with pytest.raises(Failed, match=r"ValueError|KeyError"):
        ask(peer, Subject.of(tiny), tmp_path, widths=[4, 6, 9])


def test_a_measurement_with_a_peer(tiny, torch_python):
    peers = measure.Peers(torch_python, ("eager",), threads=1)
    sizes = Sizes(64, ((1, 16, 8),), 1 << 12)
    result = measure.measure(tiny, rounds=2, sizes=sizes, data_steps=2, peers=peers, say=toy.quiet, aim=0.01)
    row = json.loads(json.dumps(result))["peers"]["variants"]["eager"]
    assert row["step_seconds"]["count"] == 2
    assert set(row["times_our_seconds"]) == {"wall", "cpu"}
    assert "torch eager" in report.table(result)


def test_bfloat16_begins_at_our_loss(tiny, peer, tmp_path):
    tiny.model.dtype = "bfloat16"
    tiny.model.remat = "blocks"
    subject = Subject.of(tiny)
    batch = subject.host_batch()
    ours = measure.Ours(subject, batch)
    given = load(subject, subject.gradients(batch)[0], batch, tmp_path)
    first = peer.ask("open", work="train", variant="eager", load=given, dtype="bfloat16", limit=120)
    assert first["value"] == pytest.approx(ours.loss, rel=measure.FIRST_LOSS["bfloat16"])
    with pytest.raises(Failed, match="unknown"):
        peer.ask("open", work="train", variant="quick", load=given, dtype="float32", limit=60)
    assert peer.ask("steps", variant="eager", count=2, limit=60)["steps"] == 3  # it lives on after an error


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["regions", "whole"])
def test_compiled_variants_begin_at_our_loss(variant, tiny, peer, tmp_path):
    tiny.model = toy.network(remat="blocks", blocks=(3, 2))
    subject = Subject.of(tiny)
    batch = subject.host_batch()
    params, ours = subject.gradients(batch)
    given = load(subject, params, batch, tmp_path)
    first = peer.ask("open", work="train", variant=variant, load=given, dtype="float32", limit=500)
    assert first["value"] == pytest.approx(float(ours["loss"]), rel=1e-4)
    assert first["graphs"]
    if variant == "regions":  # blocks of a stage share one: two kinds of block, two tails, segmenter, loss
        assert first["graphs"] <= 6


def test_what_a_peer_prints_is_no_answer(torch_python, tmp_path):
    peer = Peer(torch_python, tmp_path / "log")
    assert peer.ask("hello", threads=1, limit=120)["threads"] == 1
    peer.close()


@pytest.mark.quick
def test_an_interpreter_without_the_library_is_named(tmp_path):
    peer = Peer(sys.executable, tmp_path / "log", module="benchmarks.peers.missing")
    with pytest.raises(Failed, match=r"exited with status 1: .*benchmarks\.peers\.missing"):
        peer.ask("hello", threads=None, limit=60)
    peer.close()
    with pytest.raises(Failed, match="cannot be started"):
        Peer(str(tmp_path / "python"), tmp_path / "log")


@pytest.mark.quick
def test_one_that_does_not_answer_is_ended(tmp_path):
    peer = Peer(
        sys.executable, tmp_path / "log", module="json.tool"
    )  # reads to the end of its input, which never comes
    with pytest.raises(Failed, match="within 1 s"):
        peer.ask("hello", threads=None, limit=1)
    with pytest.raises(Failed, match="exited with status -9"):
        peer.ask("hello", threads=None, limit=5)
    peer.close()
