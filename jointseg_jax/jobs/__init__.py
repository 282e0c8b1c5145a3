"""Units of work: ledger, executors, Dask clusters, GPUs. Runs survive kills, full disks and lost workers.

May import: errors, storage. Only this room imports Dask.
"""
