"""Virtual rasters (VRT): mosaics of tiles, stacks of bands.

May import: errors, storage, rasters.
"""
