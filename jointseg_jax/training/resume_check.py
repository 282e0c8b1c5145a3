"""Checks that a run may resume under a config: it must be the same experiment, but its length may change."""

import pathlib
from typing import Any

from jointseg_jax.errors import InputError

# Fields that may change when a run resumes; a change of any other makes it another experiment.
_MAY_CHANGE = (
    "log_every", "validate_every", "validate_patches", "checkpoint_every", "keep", "panels", "data.threads",
    "data.workers", "mesh", "dataset", "max_skipped", "incidents", "wandb",
)  # fmt: skip


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested dicts to fields with dotted names."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def check(before: dict[str, Any], now: dict[str, Any], reached: int, workdir: pathlib.Path) -> None:
    """Checks that a config continues the experiment of a run.

    `steps` may change only under a constant learning rate, where earlier steps do not depend on it.

    Args:
        before: the config that the run was trained with, as plain dicts.
        now: the config to resume with.
        reached: steps done.
        workdir: of the run.

    Raises:
        InputError: the configs differ in other fields; the message says what to do.
    """
    old, new = flat(before), flat(now)
    if old["steps"] != new["steps"] and reached > new["steps"]:
        raise InputError(
            f"{workdir} has already done {reached} steps, but this config has steps={new['steps']}: set more steps, "
            "or evaluate and map an earlier checkpoint with --checkpoint"
        )
    changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k) and not k.startswith(_MAY_CHANGE)]
    key = next((k for k in changed if k != "steps"), None)
    if key is not None:
        raise InputError(
            f"{workdir} was trained with {key}={old.get(key)}, but this config has {new.get(key)}: use another "
            f"--workdir for another experiment; --init-from={workdir} starts it from the weights of this one"
        )
    schedule = old["optimizer.schedule"]
    if changed and schedule != "constant":
        raise InputError(
            f"{workdir} was trained with steps={old['steps']}, but this config has {new['steps']}, which changes all "
            f"learning rates of the schedule {schedule!r}: train further in a new run with --workdir=OTHER "
            f"--init-from={workdir}"
        )
