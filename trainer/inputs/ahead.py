"""Work for each image, done by all cores ahead of the network that needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from trainer.runtime.system import core_count

Item = TypeVar("Item")
Result = TypeVar("Result")
# Enough that the network seldom waits, few enough to need little memory.
MOST_AHEAD = 64


def done_ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `work(item)` of each item in order, while threads work on the next ones.

    PyTorch has one thread in each of them: images are small, and its threads would wait for each
    other more than they compute.
    """
    # Rooms that use this are loaded before mistakes in the settings are reported.
    import torch  # noqa: PLC0415

    threads = torch.get_num_threads()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(core_count(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == MOST_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # Setting the number in a thread also sets it for threads that start later.
        torch.set_num_threads(threads)
