"""Pictures of rasters: decimated reads, stretches, labelled panels, web tiles.

May import: errors, storage, rasters.
"""
