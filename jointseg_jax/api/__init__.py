"""What `import jointseg_jax as js` offers: networks, maps and datasets for xarray and notebooks.

It lies above all other rooms and imports from any of them. Only this room imports xarray and rioxarray.
"""
