"""Sites from a vector file, and the choice of their files among the products and rasters of an archive.

May import: whatever `data.prepare` may.
"""
