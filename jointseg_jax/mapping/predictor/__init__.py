"""Runs the network over windows of a scene: halo, flips, memory, confidence.

May import: bounds, errors, storage, jobs, rasters, models, training.
"""
