"""Work in threads, a bounded number of pieces ahead, with a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from tqdm import tqdm

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int, *, title: str, unit: str = "image"
) -> Iterator[Result]:
    """The results of ``work`` on each piece, as they come; an error ends it after the pieces under way.

    Args:
        work: done in ``workers`` threads at once.
        pieces: what there is to do.
        workers: how many; at least 1.
        title, unit: what the bar says.
    """
    queue: Iterable[Piece] = iter(pieces)
    pool = ThreadPoolExecutor(max(workers, 1))
    running: set[Future[Result]] = set()
    with tqdm(total=len(pieces), desc=title, unit=unit, disable=not pieces) as bar:
        try:
            while True:
                for piece in queue:
                    running.add(pool.submit(work, piece))
                    if len(running) >= 2 * max(workers, 1):
                        break
                if not running:
                    return
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
                    bar.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
