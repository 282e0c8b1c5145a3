"""Writes the records of a product: STAC items and collection, model card, mosaics per UTM zone.

May import: mapping.product, mapping.scenes, mapping.predictor and what these import. Only this room writes with pystac.
"""
