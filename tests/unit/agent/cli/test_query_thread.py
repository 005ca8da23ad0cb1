"""The thread in which DuckDB runs."""

import threading
import weakref
from collections.abc import Callable

from agent.cli.query_thread import QueryThread

SECONDS = 30


def test_all_pieces_of_work_have_one_thread_which_has_ended_when_it_is_closed() -> None:
    """So that there is never a second stack beside it, and the program's end finds no thread at work."""
    seen: list[threading.Thread] = []
    thread = QueryThread()
    for _ in range(3):
        assert thread.begin(lambda: seen.append(threading.current_thread())).wait(SECONDS)
    thread.close()
    assert not seen[0].is_alive()
    assert len(set(seen)) == 1


def test_work_that_cannot_be_interrupted_holds_nobody_up() -> None:
    """The end of the program does not wait for it; it ends after it."""
    is_over = threading.Event()
    seen: list[threading.Thread] = []

    def work() -> None:
        seen.append(threading.current_thread())
        is_over.wait(SECONDS)

    thread = QueryThread()
    done = thread.begin(work)
    thread.close()
    assert not done.is_set()
    is_over.set()
    assert done.wait(SECONDS)
    seen[0].join(SECONDS)
    assert not seen[0].is_alive()


def test_what_a_piece_of_work_holds_is_given_back_with_its_end() -> None:
    """The rows that it gave are the caller's alone while the next piece is waited for."""

    class Rows:
        """What was fetched."""

    def fetch(rows: Rows) -> Callable[[], None]:
        return lambda: held.append(weakref.ref(rows))

    held: list[weakref.ref[Rows]] = []
    is_gone = threading.Event()
    thread = QueryThread()
    rows = Rows()
    weakref.finalize(rows, is_gone.set)
    thread.begin(fetch(rows))
    del rows
    assert is_gone.wait(SECONDS)
    thread.close()


def test_one_that_was_never_asked_has_no_thread() -> None:
    """A question that fails before its statement runs."""
    before = set(threading.enumerate())
    QueryThread().close()
    # One of an earlier test may end meanwhile.
    assert set(threading.enumerate()) <= before
