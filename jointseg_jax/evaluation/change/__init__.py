"""Judges decoded change against known ground, estimates its areas, and reports growth.

May import: every room.
"""
