"""Prefetching: runs a generator in a thread while its consumer is busy."""

import contextlib
import queue
import threading
from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE = 0.1  # seconds after which a maker that waits for room checks that its consumer still exists


def ahead(items: Generator[T, None, None], depth: int = 1) -> Generator[T, None, None]:
    """Yields the items of a generator in order, and runs that generator in a separate thread.

    At most `depth` items wait, besides one held by the maker and one by the consumer. An exception of the maker is
    raised here, after the items before it. When this generator is closed or ends, the other is closed in its own
    thread, because its resources were opened there, and the thread ends.

    Args:
        items: not started yet; starts when the first item is requested.
        depth: at least 1.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
    unwanted = threading.Event()

    def hand_over(*entry: Any) -> bool:
        while not unwanted.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(entry, timeout=_PATIENCE)
                return True
        return False

    def make() -> None:
        failure: BaseException | None = None
        try:
            with contextlib.closing(items):
                for item in items:
                    if not hand_over(item, None, False):
                        break
        except BaseException as error:
            failure = error
        hand_over(None, failure, True)

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while True:
            item, failure, last = waiting.get()
            if failure is not None:
                raise failure
            if last:
                return
            yield item  # type: ignore[misc]
            del item  # frees its memory while the next one is awaited
    finally:
        unwanted.set()
        if maker is not threading.current_thread():  # the thread may garbage-collect this generator itself
            maker.join()
