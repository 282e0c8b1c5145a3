"""Rasters: lattices and windows, opening and reading, aligned reading, writing.

May import: errors, storage. Only this room and its sub-rooms import rasterio.
"""
