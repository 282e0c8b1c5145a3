"""Work done ahead: same items, same order, bounded, and no thread outlives its consumer."""

import contextlib
import gc
import threading
import time

import pytest

from jointseg_jax.storage.read_ahead import ahead


def alive():
    return [t for t in threading.enumerate() if t.name == "ahead"]


def made(log, count=1000, fail_at=None):
    log.append(("begin", threading.current_thread().name))
    try:
        for i in range(count):
            if i == fail_at:
                raise OSError("gone")
            log.append(i)
            yield i
    finally:
        log.append(("end", threading.current_thread().name))


def test_the_same_items_in_order_from_another_thread():
    log = []
    assert list(ahead(made(log))) == list(range(1000))
    assert log[0] == ("begin", "ahead")
    assert log[-1] == ("end", "ahead")
    assert not alive()


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_wait(depth):
    log = []
    items = ahead(made(log), depth)
    for wanted in range(5):
        assert next(items) == wanted
        deadline = time.monotonic() + 30
        while log[-1] != wanted + depth + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len([x for x in log if isinstance(x, int)]) <= wanted + 1 + depth + 1  # in hand, waiting, in the maker's
    assert max(x for x in log if isinstance(x, int)) == 4 + depth + 1
    items.close()
    assert not alive()
    assert log[-1] == ("end", "ahead")


def test_nothing_runs_before_it_is_asked_for():
    log = []
    items = ahead(made(log))
    items.close()
    assert not log
    assert not alive()


def test_what_the_maker_raises_comes_after_the_items_before_it():
    items = ahead(made([], fail_at=3))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(items)
    assert not alive()


def test_a_consumer_that_fails_or_forgets_leaves_no_thread():
    log = []

    def use():
        with contextlib.closing(ahead(made(log))) as items:
            return [1 // (3 - item) for item in items]

    with pytest.raises(ZeroDivisionError):
        use()
    assert not alive()
    items = ahead(made(log))
    next(items)
    del items
    gc.collect()
    assert not alive()


def test_stages_may_be_chained():
    log = []

    def doubled():
        with contextlib.closing(ahead(made(log))) as items:
            for item in items:
                yield 2 * item

    items = ahead(doubled())
    assert [next(items) for _ in range(10)] == list(range(0, 20, 2))
    items.close()
    assert not alive()
    with pytest.raises(OSError, match="gone"):
        list(ahead(x for x in ahead(made(log, fail_at=7))))
    assert not alive()


def test_making_and_using_overlap():
    made_next = [threading.Event() for _ in range(6)]

    def make():
        for i, event in enumerate(made_next):
            event.set()
            yield i

    for item in ahead(make()):  # while an item is in use, the next one is made
        assert all(event.wait(30) for event in made_next[: item + 2])
