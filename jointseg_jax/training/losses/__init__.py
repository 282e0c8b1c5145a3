"""Every loss as a function of outputs, batch and weights, and the objective that adds them up.

May import: models, rasters.
"""
