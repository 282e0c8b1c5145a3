#!/bin/bash
# Maps an area with an array of jobs, one share of the tiles each, and requeues jobs that ran out of time:
#   python predict.py --workdir=W --input=SCENES --aoi=belt.geojson --output=/shared/belt --plan_only
#   sbatch --array=0-63 deploy/slurm-map.sh --workdir=W --input=SCENES --aoi=belt.geojson --output=/shared/belt
#
# Work directory, scenes and product lie on a file system that all nodes share. The array counts from 0 without gaps: its
# size is the number of shards, and must not change for this product. Set partition, account and software environment.
#SBATCH --job-name=jointseg-map
#SBATCH --array=0-15
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.txt
# Two minutes before the time limit the current tile is dropped; finished tiles are kept.
#SBATCH --signal=TERM@120

set -u
MAX_RESTARTS=${MAX_RESTARTS:-50}
PYTHON=${PYTHON:-python}

if [ "${SLURM_ARRAY_TASK_MIN:-0}" != 0 ] || [ "$SLURM_ARRAY_TASK_COUNT" != $((SLURM_ARRAY_TASK_MAX + 1)) ]; then
    echo "the array must count from 0 without gaps, as --array=0-15 does" >&2
    exit 2
fi

# Since Slurm 22.05 srun does not inherit the job's number of cores per task.
srun ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "$PYTHON" predict.py --executor=shard \
    --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
status=$?

case $status in
    75 | 134 | 137 | 143)
        # 75: asked to stop; 134, 137, 143: aborted or killed from outside. A tile that kills its process three times is
        # set aside by the next start.
        if [ "${SLURM_RESTART_COUNT:-0}" -ge "$MAX_RESTARTS" ]; then
            echo "ended with $status after $MAX_RESTARTS restarts: giving up" >&2
            exit "$status"
        fi
        echo "ended with $status: back into the queue"
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
        ;;
    4)
        echo "the share is done but for the tiles above, which kept failing" >&2
        exit 4
        ;;
    *)
        exit "$status"
        ;;
esac
