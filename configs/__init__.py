"""Experiments: each file has `get_config(arg)` and begins with the command that runs it."""
