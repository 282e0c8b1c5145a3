"""Rasters as pictures for people: decimated reads, stretches, labelled panels, web tiles.

May import: errors, storage, rasters.
"""
