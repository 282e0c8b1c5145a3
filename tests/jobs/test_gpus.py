"""GPUs are found as CUDA and this JAX would, without starting any."""

import sys

import pytest

from jointseg_jax.jobs import gpus


@pytest.mark.quick
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("0,1", ("0", "1")),
        ("0,-1,1", ("0",)),
        ("NoDevFiles", ()),
        ("-1", ()),
        ("", ()),
        (" MIG-a, GPU-b", ("MIG-a", "GPU-b")),
    ],
)
def test_gpus_are_counted_as_cuda_does(chosen, expected, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    monkeypatch.setattr(gpus, "_knows_cuda", lambda: True)
    assert gpus.visible_gpus() == expected
    monkeypatch.setattr(gpus, "_knows_cuda", lambda: False)  # a JAX for CPUs leaves them alone
    assert gpus.visible_gpus() == ()


@pytest.mark.quick
def test_a_worker_on_cpus_gets_no_gpu(monkeypatch):
    monkeypatch.setattr(gpus, "_knows_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    assert gpus.visible_gpus() == ()
    assert gpus.worker_environment(0, ()) == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@pytest.mark.quick
def test_cuda_is_known_by_its_plugin(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "jax_plugins", raising=False)
    (tmp_path / "jax_plugins" / "xla_tpu").mkdir(parents=True)
    assert not gpus._knows_cuda()
    (tmp_path / "jax_plugins" / "xla_cuda13").mkdir()
    (tmp_path / "jax_plugins" / "xla_cuda13" / "__init__.py").touch()
    assert gpus._knows_cuda()
