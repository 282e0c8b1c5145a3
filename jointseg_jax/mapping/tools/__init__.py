"""Small commands on products and networks: shares by polygon, export.

May import: cli, mapping.product, mapping.records and what these import.
"""
