"""Scores of predicted maps: confusion, image quality, confidence, panels, comparison of runs.

May import: every other room.
"""
