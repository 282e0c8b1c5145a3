"""A folder has one worker at a time, and a killed worker does not keep it."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.storage.locks import exclusive, reading, unread

pytestmark = pytest.mark.quick

HOLD = """
import sys, time
from jointseg_jax.storage.locks import exclusive
with exclusive(sys.argv[1], "test"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_worker_is_refused_until_the_first_is_gone(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "f")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match=f"in use by another training .process {process.pid}"),
        exclusive(tmp_path / "f", "training"),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with exclusive(tmp_path / "f", "training"):
        pass


def test_it_is_let_go_after_an_exception(tmp_path):
    with pytest.raises(RuntimeError), exclusive(tmp_path, "x"):
        raise RuntimeError
    with exclusive(tmp_path, "x"):
        pass


def test_a_file_system_without_locks_is_not_reported_as_in_use(tmp_path, monkeypatch):
    def unsupported(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(InputError, match="without locks"), exclusive(tmp_path, "run"):
        pass


def test_a_mark_that_lives_until_the_program_ends_says_nothing(tmp_path):
    """As that of a dataset which a notebook has opened; another process sees it meanwhile, and not afterwards."""
    script = (  # a module that was imported before outlives the names in `locks`
        "import json, sys\nfrom jointseg_jax.storage import locks\n"
        "json.kept, sys.kept = (locks, locks.reading(sys.argv[1])), (json, locks)\n"
        "print('kept', flush=True)\nsys.stdin.read()\n"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "kept\n"
    with unread(tmp_path) as free:
        assert not free
    assert process.communicate("") == ("", "")
    with unread(tmp_path) as free:
        assert free
    mark = reading(tmp_path)
    assert mark is not None
    mark.close()
    mark.close()
    with unread(tmp_path) as free:
        assert free
