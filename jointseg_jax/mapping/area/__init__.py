"""Maps an area wall to wall: tiles, the plan, the work on one tile, overlaps of scenes, rates.

May import: the other sub-rooms of mapping but tools and viewer, and jobs.
"""
