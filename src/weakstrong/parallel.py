"""Independent pieces of work, run side by side on several single-threaded processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from weakstrong.errors import InputError
from weakstrong.progress import Advance

_SECONDS_BETWEEN_LOOKS = 0.2
# Makes MKL add in one order, however arrays lie in memory, so that a network does not depend on those trained
# beside it.
_SAME_SUMS = {"MKL_CBWR": "AUTO"}
# Libraries read these when they load, so they have to be in the environment that worker processes start with.
# One thread each is fastest for matrices this small, and numbers do not depend on the number of cores.
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

_done: Any = None  # in a worker: the counter that it shares with the process that started it


class Workers:
    """A pool of processes, kept from one lot of work to the next; use it as a context manager.

    Parameters
    ----------
    count : int, optional
        Number of processes, by default one per core. They start when there is work.
    """

    def __init__(self, count: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._done = context.Value("q", 0)
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(count or cores(), context, _start, (self._done,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._pool.shutdown()
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - self._others:
            process.terminate()

    def run(self, work: Callable[..., Any], pieces: Sequence[tuple[Any, ...]], advance: Advance) -> list[Any]:
        """Compute ``[work(*piece, advance) for piece in pieces]`` side by side.

        Parameters
        ----------
        work : callable
            A function importable by name. Its last argument is a function that it calls with how much
            more is done.
        pieces : sequence of tuple
            The other arguments of each call.
        advance : callable
            Called in this process with how much more the workers have done.

        Raises
        ------
        InputError
            If a computation fails on its numbers, or a worker was ended from outside.
        """
        shown = self._done.value
        with environment(_ONE_THREAD | _SAME_SUMS), _without_script():
            futures = [self._pool.submit(_work, work, piece) for piece in pieces]
        open_ = set(futures)
        while open_:
            done, open_ = wait(open_, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
            for future in done:
                _refuse_numbers(future)  # an error stops the rest
            reached = self._done.value
            advance(reached - shown)
            shown = reached
        return [future.result() for future in futures]


def _refuse_numbers(future: Future[Any]) -> None:
    """Raise the error of a piece of work, if any; arithmetic that fails is a fault of the settings."""
    try:
        future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was ended from outside, perhaps for want of memory; run it again to go on"
        ) from error
    except (ValueError, ArithmeticError, MemoryError) as error:  # LinAlgError is a ValueError
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"these settings cannot be computed with ({error or type(error).__name__})"
        ) from error


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(counter: Any) -> None:
    """Prepare a worker process, which ends when the process that started it ends, whatever the reason."""
    global _done  # noqa: PLW0603
    _done = counter
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _advance(more: int) -> None:
    with _done.get_lock():
        _done.value += more


def _work(work: Callable[..., Any], piece: tuple[Any, ...]) -> Any:
    return work(*piece, _advance)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_script() -> Iterator[None]:
    """Let processes start without running the user's script, as all they are given is importable by name.

    They would run the script up to its ``__main__`` guard, with all that it imports, and without a guard
    they would end in an error.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
