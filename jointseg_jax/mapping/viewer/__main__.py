"""Runs `build.main`: python -m jointseg_jax.mapping.viewer."""

import sys

from jointseg_jax.mapping.viewer.build import main

if __name__ == "__main__":
    sys.exit(main())
