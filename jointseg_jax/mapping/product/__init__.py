"""Writes the files of one map: classes, probability, super-resolved image, quick-look, and the record of a tile.

May import: errors, storage, geo, rasters, mapping.predictor.
"""
