"""The commands of `jointseg`, one file each: flags, help, exit status. It may import from every room.

At the top a command imports nothing slow (`tests/integration/test_commands.py` has the list of what it may import);
what does its work is imported when it runs. So `--help` and refused flags take a moment, not seconds.
"""
