#!/bin/bash
# Trains on several nodes, one task per node with all its GPUs, and requeues itself until all steps are done:
#   sbatch deploy/slurm-train.sh --config=configs/yreb.py --workdir=/shared/runs/yreb
#
# Work directory and dataset lie on a file system that all nodes share. Set partition, account and the software
# environment for your cluster.
#SBATCH --job-name=jointseg
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.txt
# Ten minutes before the time limit every task gets SIGTERM, saves and ends with 75.
#SBATCH --signal=TERM@600

set -u
MAX_RESTARTS=${MAX_RESTARTS:-50}
PYTHON=${PYTHON:-python}

# The end of one task must not kill the others: they may still be saving. Each ends by itself when it loses another.
# Since Slurm 22.05 srun does not inherit the job's number of cores per task.
srun --kill-on-bad-exit=0 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "$PYTHON" train.py "$@"
status=$?

case $status in
    0)
        echo "all steps are done"
        ;;
    75 | 134 | 137 | 143)
        # 75: saved, or another process was lost; 134, 137, 143: aborted or killed from outside.
        if [ "${SLURM_RESTART_COUNT:-0}" -ge "$MAX_RESTARTS" ]; then
            echo "ended with $status after $MAX_RESTARTS restarts: giving up" >&2
            exit "$status"
        fi
        echo "ended with $status: back into the queue"
        scontrol requeue "$SLURM_JOB_ID"
        ;;
    *)
        echo "ended with $status, which starting again would not mend" >&2
        exit "$status"
        ;;
esac
