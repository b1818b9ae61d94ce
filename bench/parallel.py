"""Work in threads and in a process of its own; what fails there ends the bench."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any


def timed(work: list[Callable[[], None]]) -> float:
    """Seconds until all of it is done, each in a thread of its own."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(work)) as pool:
        done = [pool.submit(each) for each in work]
    took = time.perf_counter() - start
    for each in done:
        each.result()
    return took


def in_a_process(work: Callable[[dict[str, Any]], float], given: dict[str, Any]) -> float:
    """What `work(given)` returns, done by a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, given).result()
