"""Units of work (tiles, sites): ledger, executors, Dask clusters, GPUs, progress.

Runs survive kills, full disks and lost workers. May import: errors, storage. Only this room imports Dask.
"""
