"""Eight virtual CPU devices, a compilation cache, and a small dataset that all tests share."""

import importlib.metadata
import os
import pathlib
import signal
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait busily
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Tests compile much and run little: without these optimisations programs compile in less than half the time.
_XLA = [
    os.environ.get("XLA_FLAGS", ""),
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
]
# 0.12 has no such flag, and ends on flags it does not know.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _XLA.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join(_XLA)
ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

import jax  # noqa: E402
import pytest  # noqa: E402
from absl import flags, logging  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)


def pytest_configure(config):
    flags.FLAGS.mark_as_parsed()  # Grain's workers read absl flags
    logging.set_verbosity(logging.FATAL)


@pytest.fixture(autouse=True)
def no_remote(monkeypatch):
    """An address that a test gives allows remote reads in its process: not in the tests that follow."""
    monkeypatch.setenv("JOINTSEG_REMOTE", "")
    monkeypatch.delenv("JOINTSEG_REMOTE")


@pytest.fixture(autouse=True)
def own_signals():
    """What a test runs in this process leaves the handlers of signals as they were."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """Raw rasters of four toy sites, as a table."""
    import toy

    root = tmp_path_factory.mktemp("raw")
    toy.write_table(root)
    return root


@pytest.fixture(scope="session")
def toy_config(raw, tmp_path_factory):
    """A config whose dataset is prepared and whose network is tiny; copy it before changing it."""
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    config = toy.config(raw, tmp_path_factory.mktemp("dataset"))
    prepare(config.dataset, say=lambda _: None)
    return config


@pytest.fixture(scope="session")
def light(toy_config):
    """The toy config with a segmenter on enlarged input: a run does the same, and compiles sooner."""
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    config.model.update({"control": "bilinear", "lattices": ("1", "10"), "widths": (4, 6), "dilations": (1,)})
    return config


@pytest.fixture(scope="session")
def experiment(toy_config):
    """The experiment of `toy_config`."""
    from jointseg_jax.training.set_up import set_up

    return set_up(toy_config)


@pytest.fixture(scope="session")
def fresh(experiment):
    """Its fresh state on the host, initialised once; `jax.device_put(fresh, experiment.shardings())` places it."""
    return jax.device_get(experiment.init())


@pytest.fixture(scope="session")
def trained(toy_config, tmp_path_factory):
    """A network with strong random weights: nothing fades because it is untrained."""
    import drawn_networks

    return drawn_networks.draw(toy_config, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def config(toy_config):
    """A private copy of `toy_config`, unlocked."""
    copied = toy_config.copy_and_resolve_references()
    copied.unlock()
    return copied


@pytest.fixture(scope="session")
def data(toy_config):
    """The prepared toy dataset."""
    from jointseg_jax.data.dataset import load

    return load(toy_config.dataset.path)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real rasters; tests that need it skip where it is absent."""
    folder = os.environ.get("JOINTSEG_DATA", "")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("JOINTSEG_DATA is not set to a folder of real rasters")
    return pathlib.Path(folder).resolve()
