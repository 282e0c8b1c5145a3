"""Bounds of every flag and config field, in one place: `kinds` of values, then the tables `config` and `flags`."""
