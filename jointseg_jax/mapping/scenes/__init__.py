"""The scenes of --input: rasters, folders, STAC items, datasets; opened under the network's contract.

May import: errors, storage, geo, rasters, sources, data.
"""
