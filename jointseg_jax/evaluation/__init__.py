"""Scores of the map that prediction delivers: confusion, image quality, confidence, panels, comparison of runs.

May import: every other room.
"""
