"""From raw rasters and vectors to a dataset: sites, layers, labels, splits, statistics.

May import: bounds, errors, storage, geo, rasters, data.
"""
