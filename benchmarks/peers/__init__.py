"""The same network in other libraries, each in its own process and virtual environment."""
