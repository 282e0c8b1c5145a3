"""What users hold: .SAFE products, one file per band, STAC items; preparation and prediction read them alike.

May import: errors, storage, rasters, geo.
"""
