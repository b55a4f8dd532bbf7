"""Work done by threads, a bounded number of tasks ahead, with results in the order of the tasks.

Pillow, zlib and hashlib release the interpreter's lock, so threads are enough to decode, shrink and check.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sightline.errors import DataError, UnreadableImage
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.deadline import Team, refuse_stopped
from sightline.pixels.decode import RGB
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.preprocess import Preprocess

__all__ = [
    "Decoder",
    "Failure",
    "Positions",
    "decoding_threads",
    "in_tasks",
    "reason_of",
    "run_ahead",
    "squares_of",
    "threads_for",
]

T = TypeVar("T")
R = TypeVar("R")

_TASK = 32  # images per task: a task for each image would cost more than decoding a small one

# Of small images, opening takes longest, which is Python and holds the interpreter's lock: threads wait for each other
# longer than they work. JPEGs on two hyper-threads, one thread against two: of 32 px read in 384 us each against 507
# and decoded in 193 against 305; of 64 px 455 against 532, and equal; of 128 px 711 against 618, and 298 against 283.
_SMALL = 80 * 80  # pixels

# Seconds of a processor below which an image is small in this sense, and how many images are timed for it.
_QUICK, _FIRST = 0.0006, 4

Positions = Sequence[int] | npt.NDArray[np.integer]
Failure = UnreadableImage | DataError  # why an image is missing: it can't be read, or it has changed


@dataclass(frozen=True, slots=True)
class Decoder:
    """The images of a store, decoded and shrunk on request.

    Attributes:
        paths: the files, by position.
        digests: sha256 of each file's content; an empty string where there is none.
        preprocess: how each image is shrunk.
        threads: that decode.
    """

    paths: Sequence[Place]
    digests: Sequence[str]
    preprocess: Preprocess
    threads: int

    def decode(self, position: int) -> RGB:
        """Return the shrunk image of the inspected content, never of another.

        Raises:
            UnreadableImage: if the file can't be read.
            DataError: if its content is not the one that was inspected.
        """
        path, digest = self.paths[position], self.digests[position]
        refuse_stopped(str(path))
        data = read_bytes(path)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise DataError(
                "data.changed",
                f"{path}: the file changed while it was used",
                "do not change the images until the run is done; start it again to use the new content",
            )
        return self.preprocess.shrink(self.preprocess.decode(data, name=str(path)))

    def attempt(self, position: int) -> RGB | Failure:
        """Return the shrunk image, or the error."""
        try:
            return self.decode(position)
        except (UnreadableImage, DataError) as error:
            return error

    def decode_all(self) -> Generator[list[RGB | Failure], None, None]:
        """Yield the images, some at a time, in the order of ``paths``."""
        tasks = in_tasks(range(len(self.paths)), self.threads)
        return run_ahead(lambda task: [self.attempt(k) for k in task], tasks, self.threads, 2 * self.threads)


def reason_of(failure: Failure) -> str:
    """Return in a few words why an image is missing, without its name."""
    return failure.reason if isinstance(failure, UnreadableImage) else "the file changed while it was used"


def threads_for(pixels: npt.NDArray[np.integer], threads: int) -> int:
    """Return how many threads decode images fastest: of small ones a single thread.

    Args:
        pixels: ``[N]``, of each image; 0 where unknown.
        threads: that may be used.

    Example:
        >>> threads_for(np.full(60_000, 32 * 32), 8), threads_for(np.full(400, 640 * 480), 8)
        (1, 8)
    """
    known = pixels[pixels > 0]
    return 1 if len(known) and np.median(known) <= _SMALL else threads


def in_tasks(positions: Positions, threads: int) -> list[Positions]:
    """Divide positions into tasks, enough of them to keep every thread busy until the end.

    Example:
        >>> in_tasks(range(8), 2)
        [range(0, 2), range(2, 4), range(4, 6), range(6, 8)]
    """
    size = max(1, min(_TASK, -(-len(positions) // (2 * threads))))
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def squares_of(
    preprocess: Preprocess, images: Iterable[Any], *, pool: Executor | None = None, ahead: int = 0
) -> Generator[RGB | UnreadableImage, None, None]:
    """Yield the square of each image in order, or why there is none, while the next ones are decoded.

    Args:
        preprocess: how an image becomes a square.
        images: paths, bytes of image files, Pillow images, ``[H, W, 3] uint8`` arrays; or an ``UnreadableImage``, which
            is passed on. They are taken as they are needed.
        pool: that decodes; it stays open. None: threads of their own, as many as this process may use.
        ahead: images that are decoded before they are asked for; at least two for each thread.

    Example:
        ``squares = [square for square in squares_of(preprocess, files) if not isinstance(square, UnreadableImage)]``
    """
    threads = usable_threads()
    ahead = max(ahead, 2 * threads)
    if pool is not None:
        return run_ahead(partial(_square, preprocess), images, pool, ahead)
    return _squares_at_pace(preprocess, iter(images), threads, ahead)


def _squares_at_pace(
    preprocess: Preprocess, images: Iterator[Any], threads: int, ahead: int
) -> Generator[RGB | UnreadableImage, None, None]:
    """Yield squares; images that take little time are decoded several in a task, by one thread.

    By several threads, if what takes time is to wait for them: on a network's drive.
    """
    work = partial(_timed_squares, preprocess)
    spent: list[tuple[float, float]] = []
    with closing(run_ahead(work, ([image] for image in islice(images, _FIRST)), threads, _FIRST)) as first:
        for squares, seconds in first:
            spent.append(seconds)
            yield from squares
    if len(spent) < _FIRST:
        return
    computed, passed = np.median(spent, axis=0)
    size = _TASK if computed < _QUICK else 1
    threads = 1 if size > 1 and passed < 4 * _QUICK else threads
    tasks = iter(lambda: list(islice(images, size)), [])
    with closing(run_ahead(work, tasks, threads, max(2, ahead // size))) as rest:
        for squares, _ in rest:
            yield from squares


def _timed_squares(
    preprocess: Preprocess, images: list[Any]
) -> tuple[list[RGB | UnreadableImage], tuple[float, float]]:
    """Return the squares of some images, and the seconds that this thread computed and that passed."""
    computed, start = time.thread_time(), time.monotonic()
    squares = [_square(preprocess, image) for image in images]
    return squares, (time.thread_time() - computed, time.monotonic() - start)


def _square(preprocess: Preprocess, image: Any) -> RGB | UnreadableImage:
    if isinstance(image, UnreadableImage):  # known before
        return image
    try:
        return preprocess.apply(preprocess.decode(image))
    except UnreadableImage as error:
        return error


def run_ahead(
    work: Callable[[T], R], tasks: Iterable[T], threads: int | Executor, ahead: int
) -> Generator[R, None, None]:
    """Yield ``work(task)`` of each task in order, while threads work at most ``ahead`` tasks ahead.

    Closing the generator stops the threads, and what they decode. A pool in their place stays open, and is given no
    more to do.

    Example:
        >>> list(run_ahead(abs, [-1, 2, -3], threads=2, ahead=2))
        [1, 2, 3]
    """
    remaining = iter(tasks)
    waiting: deque[Future[R]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(decoding_threads(threads, "pixels")) if isinstance(threads, int) else threads
        try:
            waiting.extend(pool.submit(work, task) for task in islice(remaining, ahead))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, task) for task in islice(remaining, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def decoding_threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Provide threads; when what is done with them ends early, what they decode is stopped; Ctrl-C doesn't wait for it.

    Example:
        >>> with decoding_threads(2, "pixels") as pool:
        ...     list(pool.map(abs, [-1, 2]))
        [1, 2]
    """
    team = Team()
    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=team.join)
    try:
        yield pool
    except BaseException as error:
        team.stop()
        pool.shutdown(wait=isinstance(error, Exception | GeneratorExit), cancel_futures=True)
        raise
    pool.shutdown()
