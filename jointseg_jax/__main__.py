"""The program `jointseg`, as python -m jointseg_jax."""

import sys

from jointseg_jax.commands.jointseg import main

if __name__ == "__main__":
    sys.exit(main())
