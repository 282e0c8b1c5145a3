"""Prepares a dataset from raw rasters and vectors: sites, layers, labels, splits, statistics.

May import: bounds, errors, storage, jobs, geo, rasters, sources, data.
"""
