"""Units of work that survive being killed: atomic files, journals, locks, retries, the ledger, executors."""
