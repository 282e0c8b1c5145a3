"""Measurements that print JSON and a table; see docs/benchmarks.md."""
