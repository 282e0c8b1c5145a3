"""Files that are whole or absent, locks, retries, output folders, append-only logs, versions of file formats.

May import: errors. Only this room imports tenacity.
"""
