"""The report of an evaluation: text for the terminal, one HTML page and Markdown."""
