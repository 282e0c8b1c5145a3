"""A page to look at a product with: static files that any browser opens, from disk or from any web server."""
