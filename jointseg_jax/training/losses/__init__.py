"""All losses as functions of outputs, batch and weights, and the objective that sums them.

May import: models, rasters.
"""
