"""The only room that knows rasterio: lattices and windows, radiometry, readers, writers."""
