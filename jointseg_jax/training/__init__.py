"""Training: `train`, the loop, the step, the experiment, validation, calibration.

May import: bounds, errors, storage, jobs, rasters, data, models and its own sub-rooms.
"""
