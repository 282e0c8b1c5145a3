"""Geometry on the Earth: UTM zones, footprints, areas on the ellipsoid, vector files, areas of interest.

May import: errors, storage, rasters. Only this room imports pyogrio and geopandas for reading vectors.
"""
