"""Work done ahead: what an iterator makes, made in a thread of its own while its consumer is busy."""

import contextlib
import queue
import threading
from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE = 0.1  # seconds after which a maker that waits for room looks whether anyone still wants its work


def ahead(items: Generator[T, None, None], depth: int = 1) -> Generator[T, None, None]:
    """The items of a generator, in order; it runs in a thread of its own.

    At most `depth` items wait, besides one in the maker's and one in the consumer's hand. What the maker raises is
    raised here, after the items before it. When this generator is closed, or ends for any reason, the other is closed
    in its own thread (so that what it opened there is closed there), and the thread has ended.

    Args:
        items: not started yet; nothing of it runs before the first item is asked for.
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
            del item  # it must not live on while the next one is waited for
    finally:
        unwanted.set()
        if maker is not threading.current_thread():  # which may collect what its forgetful consumer left
            maker.join()
