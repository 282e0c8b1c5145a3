"""Programs of a study never outlive it."""

import signal
import subprocess

import pytest

from jointseg_jax.evaluation.study import programs

pytestmark = pytest.mark.quick


def test_a_stop_in_the_main_thread_ends_the_program_that_it_waits_for(tmp_path, monkeypatch):
    endless, started = tmp_path / "endless", []
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)

    class Spied(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(programs.sys, "executable", str(endless))
    monkeypatch.setattr(programs.subprocess, "Popen", Spied)
    monkeypatch.setattr(programs.os, "wait4", stopped)
    with pytest.raises(KeyboardInterrupt):
        programs.Programs(2).call("prepare", log=tmp_path / "log")
    assert started[0].returncode == -signal.SIGTERM
