"""Files that are whole or absent, locks, retries, output folders, append-only logs, and records with their versions.

May import: errors. Only this room imports tenacity and msgspec.
"""
