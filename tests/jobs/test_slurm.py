"""Workers as Slurm jobs. There is no Slurm here: the job scripts are real, and a substitute for sbatch runs them."""

import os

import pytest
from jobs.file_work import FileWork, assert_whole, run
from jobs.processes import ENV

from jointseg_jax.errors import InputError
from jointseg_jax.jobs import workers
from jointseg_jax.jobs.cluster import Dask

SBATCH = """#!/bin/sh
cp "$1" {folder}/script
sh {folder}/script > {folder}/output 2>&1 &  # the original is removed as soon as this ends
echo "Submitted batch job $!"
"""


@pytest.mark.timeout(300)
def test_slurm_jobs_are_submitted_with_the_options_and_cancelled(product, ledger, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH.format(folder=tmp_path))
    (tools / "scancel").write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/cancelled\nkill $1\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])
    options = workers.slurm_options(
        [
            "queue=gpu", "account=maps", "memory=4GB", "walltime=00:30:00", "job_cpu=8",
            "job_extra_directives=--gres=gpu:1;--exclusive", f"log_directory={tmp_path / 'logs'}",
        ]
    )  # fmt: skip
    run(product, Dask(1, slurm=options), work=FileWork(product, 0.1))
    assert_whole(product)
    script = (tmp_path / "script").read_text()
    for line in ("-p gpu", "-A maps", "--cpus-per-task=8", "-t 00:30:00", "--gres=gpu:1", "--exclusive"):
        assert f"#SBATCH {line}" in script
    for text in ("export XLA_PYTHON_CLIENT_PREALLOCATE=false", "--nthreads 1 ", "tls://"):
        assert text in script
    assert "--dashboard-address 127.0.0.1:0" in script
    assert not list(ledger.folder.glob(".tls*"))  # the certificate is removed with the run
    assert len((tmp_path / "cancelled").read_text().split()) == 1
    for wrong in ({"memory": "4GB", "quue": "gpu"}, {"queue": "gpu"}):  # a typing error; no memory
        with pytest.raises(InputError, match=r"Slurm options .* cannot be used"):
            run(product, Dask(1, slurm=wrong), ["a"])
