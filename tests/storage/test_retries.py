"""What passes is tried again, with growing pauses; what does not is raised at once."""

import errno

import pytest

from jointseg_jax.storage import retries

pytestmark = pytest.mark.quick


class Flaky:
    def __init__(self, failures):
        self.failures, self.calls = list(failures), 0

    def __call__(self):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "read"


def test_a_server_that_comes_back_is_waited_for_with_growing_pauses():
    pauses = []
    action = Flaky([OSError(errno.EIO, "away")] * 9)
    assert retries.call(action, sleep=pauses.append, first=1.0, longest=20.0) == "read"
    assert action.calls == 10
    wanted = [1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert all(0.5 * w <= p <= 1.5 * w for p, w in zip(pauses, wanted, strict=True))
    assert len({p / w for p, w in zip(pauses, wanted, strict=True)}) == 9  # spread


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), FileNotFoundError(2, "missing"), ValueError("else")])
def test_what_does_not_pass_is_raised_at_once(error):
    action = Flaky([error])
    with pytest.raises(type(error)):
        retries.call(action, sleep=lambda _: pytest.fail("waited"))
    assert action.calls == 1


def test_patience_ends():
    action = Flaky([OSError(errno.EIO, "away")] * 1000)
    with pytest.raises(OSError, match="away"):
        retries.call(action, patience=lambda _: 1.0, first=0.01)
    assert 2 < action.calls < 100
