"""Builds a page that shows a product: static files for any browser, from disk or a web server."""
