"""The same network in other libraries, each in a process and a virtual environment of its own."""
