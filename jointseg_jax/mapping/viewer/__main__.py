"""Runs `jointseg view`, as python -m jointseg_jax.mapping.viewer."""

from jointseg_jax import cli

if __name__ == "__main__":
    cli.run_command("view")
