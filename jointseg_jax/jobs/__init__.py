"""Units of work that survive being killed: atomic files (later: ledger, executors, retries)."""
