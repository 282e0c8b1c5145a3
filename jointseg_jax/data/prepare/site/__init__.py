"""Prepares one site: its rasters on one lattice, in one radiometry, registered, with one label."""
