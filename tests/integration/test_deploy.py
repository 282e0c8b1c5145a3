"""The scripts under deploy/, as far as they can be tried without a cluster."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

from jointseg_jax.training.devices.processes import Flags, Processes, decide

pytestmark = pytest.mark.quick

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"


def slurm(folder, status, script="slurm-train.sh", arguments=("--config=c.py", "--workdir=a folder"), **environment):
    """Runs a batch script with an `srun` that ends with `status`. Returns its status and what was called."""
    calls = folder / "calls"
    calls.touch()
    for name, end in (("srun", f"exit {status}"), ("scontrol", "exit 0")):
        fake = folder / name
        fake.write_text(f'#!/bin/bash\necho "{name} $*" >> {calls}\n{end}\n')
        fake.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", **environment}
    done = subprocess.run(["bash", str(DEPLOY / script), *arguments], env=environment, capture_output=True, text=True)
    return done.returncode, calls.read_text().splitlines()


def options_of(script):
    """What a batch script asks of Slurm, after a look at its syntax."""
    subprocess.run(["bash", "-n", str(DEPLOY / script)], check=True)
    return dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", (DEPLOY / script).read_text(), re.MULTILINE))


def test_the_slurm_script_is_sound():
    options = options_of("slurm-train.sh")
    assert options["ntasks-per-node"] == "1"
    assert "requeue" in options
    # Not "B:": the signal must reach the tasks, not only the script.
    assert re.fullmatch(r"TERM@\d+", options["signal"])


@pytest.mark.parametrize(
    ("status", "restarts", "expected", "again"),
    [(0, 0, 0, False), (75, 0, 0, True), (137, 3, 0, True), (75, 50, 75, False), (2, 0, 2, False), (1, 0, 1, False)],
)
def test_slurm_requeues_what_is_not_done(tmp_path, status, restarts, expected, again):
    found, calls = slurm(tmp_path, status, SLURM_RESTART_COUNT=str(restarts))
    assert found == expected
    assert calls[0] == "srun --kill-on-bad-exit=0 python train.py --config=c.py --workdir=a folder"
    assert ("scontrol requeue 7" in calls) == again


@pytest.mark.parametrize(
    ("script", "begins"),
    [
        ("slurm-train.sh", "srun --kill-on-bad-exit=0 --cpus-per-task=32 python train.py --config=c.py"),
        ("slurm-map.sh", "srun --cpus-per-task=32 python predict.py --executor=shard --shard=3/16 --config=c.py"),
    ],
)
def test_tasks_get_the_cores_that_the_job_asked_for(tmp_path, script, begins):
    assert "cpus-per-task" in options_of(script)
    found, calls = slurm(tmp_path, 0, script, ["--config=c.py"], SLURM_CPUS_PER_TASK="32", **array(3))
    assert (found, calls) == (0, [begins])


def array(index, first=0, last=15, count=16):
    """The environment of one job of an array."""
    named = {"TASK_ID": index, "TASK_MIN": first, "TASK_MAX": last, "TASK_COUNT": count, "JOB_ID": 9}
    return {f"SLURM_ARRAY_{name}": str(value) for name, value in named.items()}


def test_the_mapping_script_is_sound():
    options = options_of("slurm-map.sh")
    assert options["array"].startswith("0-")
    assert "requeue" in options
    assert re.fullmatch(r"TERM@\d+", options["signal"])


@pytest.mark.parametrize(
    ("status", "restarts", "expected", "again"),
    [(0, 0, 0, False), (75, 0, 0, True), (137, 3, 0, True), (75, 50, 75, False), (4, 0, 4, False), (74, 0, 74, False)],
)
def test_a_share_of_the_map_is_put_back_until_it_is_done(tmp_path, status, restarts, expected, again):
    given = ["--workdir=w", "--output=a folder"]
    found, calls = slurm(tmp_path, status, "slurm-map.sh", given, SLURM_RESTART_COUNT=str(restarts), **array(3))
    assert found == expected
    assert calls[0] == "srun python predict.py --executor=shard --shard=3/16 --workdir=w --output=a folder"
    assert ("scontrol requeue 9_3" in calls) == again


@pytest.mark.parametrize("wrong", [array(3, first=1), array(4, last=30, count=16)])
def test_an_array_with_gaps_would_leave_tiles_out(tmp_path, wrong):
    found, calls = slurm(tmp_path, 0, "slurm-map.sh", [], **wrong)
    assert (found, calls) == (2, [])


def test_the_jobset_restarts_what_is_not_done_and_its_pods_find_each_other():
    manifest = yaml.safe_load((DEPLOY / "jobset-train.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    spec = manifest["spec"]
    assert spec["failurePolicy"]["maxRestarts"] > 0
    rules = {rule["onJobFailureReasons"][0]: rule["action"] for rule in spec["failurePolicy"]["rules"]}
    assert rules == {"PodFailurePolicy": "RestartJobSet", "BackoffLimitExceeded": "FailJobSet"}
    (replicated,) = spec["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    assert job["completions"] == job["parallelism"]
    codes = job["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert 75 in codes["values"]
    assert not {0, 1, 2} & set(codes["values"])
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a podFailurePolicy demands it
    (container,) = pod["containers"]
    assert codes["containerName"] == container["name"]
    assert container["command"] == ["python", "train.py"]
    waits = [int(a.partition("=")[2]) for a in container["args"] if a.startswith("--connect_timeout=")]
    assert waits[0] >= 1800  # a node that the cluster adds first may take that long
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    environment = {e["name"]: e["value"] for e in container["env"]}
    host = f"{manifest['metadata']['name']}-{replicated['name']}-0-0.{manifest['metadata']['name']}"
    port = container["ports"][0]["containerPort"]
    for index in range(job["completions"]):
        found = decide(Flags(), {**environment, "JOB_COMPLETION_INDEX": str(index)})
        assert found == Processes("environment", f"{host}:{port}", job["completions"], index)
