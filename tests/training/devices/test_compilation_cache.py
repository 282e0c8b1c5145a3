"""Where compiled programs are kept, and who is told that one is being compiled."""

import time

import jax
import pytest

from jointseg_jax.training.devices import compilation_cache
from jointseg_jax.training.devices.compilation_cache import announced, on_network_disk, use_compilation_cache

pytestmark = pytest.mark.quick
MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/homes /home nfs4 rw 0 0
/dev/sdb1 /home/fast\\040disk ext4 rw 0 0
"""


@pytest.fixture
def no_folder():
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize(
    ("path", "shared"), [("/home/me/.cache", True), ("/home/fast disk/x", False), ("/tmp", False), ("/homes", False)]
)
def test_a_network_disk_is_known(tmp_path, path, shared):
    import pathlib

    (tmp_path / "mounts").write_text(MOUNTS)
    assert on_network_disk(pathlib.Path(path), tmp_path / "mounts") == shared
    assert not on_network_disk(pathlib.Path(path), tmp_path / "none")


def test_on_a_network_disk_the_cache_is_local_and_private(tmp_path, monkeypatch, no_folder):
    monkeypatch.setattr(compilation_cache, "on_network_disk", lambda path: True)
    monkeypatch.setattr(compilation_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    use_compilation_cache()
    folder = next(tmp_path.glob("jointseg-jax-*/jointseg-jax/xla"))
    assert jax.config.values["jax_compilation_cache_dir"] == str(folder)
    # A folder that others can write to might hold their programs.
    folder.chmod(0o777)
    jax.config.update("jax_compilation_cache_dir", None)
    use_compilation_cache()
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_a_long_compilation_is_said_once_and_a_short_one_never():
    said = []
    with announced("a test", after=0.01, say=said.append):
        time.sleep(0.2)
    with announced("a test", after=0.01, say=said.append):
        time.sleep(0.1)
    with announced("another", after=5, say=said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith("compile a test")
