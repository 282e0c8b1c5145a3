"""Scores that need the map of a whole site: boundaries, objects, widths, fractions, density, resolution, intervals."""
