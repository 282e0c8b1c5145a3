"""Bounds of every flag and config field: `kinds` of values, and the tables `config` and `flags`."""
