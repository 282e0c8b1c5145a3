"""`--profile=start:stop` traces these steps."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.training.run.profiling import Trace, parse


@pytest.mark.parametrize("text", ["3", "3:3", "5:2", "-1:4", "a:b", "1:2:3", ""])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InputError, match=r"must be start:stop.*such as 10:13"):
        parse(text)


def test_a_range():
    assert parse("10:13") == range(10, 13)
    assert parse(None) is None


def traced(folder):
    """Step numbers in the trace, by the annotation each step carries."""
    (path,) = (folder / "profile").rglob("*.trace.json.gz")
    marks = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return sorted(int(m["args"]["step_num"]) for m in marks if m.get("name") == "train" and "step_num" in m["args"])


@pytest.mark.parametrize(
    ("wanted", "first", "expected"),
    [(range(2, 4), 0, [2, 3]), (range(0, 3), 2, [2]), (range(4, 99), 0, [4, 5]), (range(0, 2), 3, None)],
    ids=["inside", "partly done", "beyond the end", "done"],
)
def test_the_steps_wanted_are_traced(tmp_path, wanted, first, expected):
    work = jax.jit(lambda x: x @ x)
    with Trace(tmp_path, wanted, first, 6) as trace:
        for step in range(first, 6):
            with trace.step(step):
                work(jnp.ones((8, 8))).block_until_ready()
    if expected is None:
        assert not (tmp_path / "profile").exists()
    else:
        assert traced(tmp_path) == expected


def test_steps_that_never_come_are_refused(tmp_path):
    with pytest.raises(InputError, match="begins after the last of 6 steps"):
        Trace(tmp_path, range(6, 8), 0, 6)
