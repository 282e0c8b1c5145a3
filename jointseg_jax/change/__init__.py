"""Change between the maps of several years: the maps registered, decoded as a sequence, and written as a product.

May import: every room but evaluation.
"""
