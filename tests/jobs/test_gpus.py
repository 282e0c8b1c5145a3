"""GPUs are counted as CUDA and this JAX would, and none is started."""

import shutil

import pytest

from jointseg_jax.jobs import gpus

pytestmark = pytest.mark.quick


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
def test_gpus_are_counted_as_cuda_does(chosen, expected, cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus.visible_gpus() == expected


def test_a_jax_without_cuda_leaves_gpus_alone(cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert gpus.visible_gpus() == ("5",)
    monkeypatch.setattr("sys.path", [str(cuda.parent)])
    shutil.move(cuda / "xla_cuda13", cuda / "xla_tpu")
    assert gpus.visible_gpus() == ()


def test_a_worker_on_cpus_gets_no_gpu(cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    assert gpus.visible_gpus() == ()
    assert gpus.worker_environment() == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
