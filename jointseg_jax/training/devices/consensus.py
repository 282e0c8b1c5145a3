"""Values on which all processes of a run must agree, because each acts on them."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def anywhere(flag: bool) -> bool:
    """Whether the flag is set on any process. All processes must call it at the same place."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def total(count: int) -> int:
    """The sum of a count over all processes. All processes must call it at the same place."""
    return count if jax.process_count() == 1 else int(np.sum(multihost_utils.process_allgather(np.asarray(count))))


def preempted(call: int) -> bool:
    """Whether JAX's preemption service caught SIGTERM on any process; the answer is the same on all.

    All processes must call it with the same call number.
    """
    return bool(multihost_utils.reached_preemption_sync_point(call))
