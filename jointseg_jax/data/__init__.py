"""A prepared dataset: its sites and contract, patches, augmentation, batches, the simulated sensor.

May import: errors, storage, rasters. Only this room imports Grain.
"""
