"""A study: rows of a table trained and evaluated over folds and seeds, their paired statistics, report and pictures."""
