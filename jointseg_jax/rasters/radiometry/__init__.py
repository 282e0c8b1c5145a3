"""Radiometry, what the numbers of a raster mean: offsets and their evidence, units, absent ground, band names.

May import: errors, storage, rasters.
"""
