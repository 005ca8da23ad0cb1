"""Who waits for which answer."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import MS, S
from workers.gateway.request_coalescer import ANSWER_TIMEOUT_NS, RequestCoalescer


class Asked:
    """Counts questions; the numbers given are 1, 2, 3 …"""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def test_a_request_asks_and_the_answer_is_for_it() -> None:
    """One question, one answer, then nothing is under way."""
    coalescer: RequestCoalescer[str] = RequestCoalescer(asked := Asked())
    coalescer.add("a", 0)
    assert coalescer.on_answer(1, 5) == ["a"]
    assert (asked.count, coalescer.next_deadline_ns()) == (1, None)


def test_requests_that_come_meanwhile_share_the_next_question() -> None:
    """A hundred clients are two questions, and no answer is older than its request."""
    coalescer: RequestCoalescer[int] = RequestCoalescer(asked := Asked())
    for request in range(100):
        coalescer.add(request, request)
    assert asked.count == 1
    assert coalescer.on_answer(1, 200) == [0]
    assert asked.count == 2
    assert coalescer.on_answer(2, 300) == list(range(1, 100))


def test_an_answer_that_does_not_come_is_given_up_and_asked_anew() -> None:
    """Each request waits its second; a late answer is for nobody."""
    coalescer: RequestCoalescer[str] = RequestCoalescer(asked := Asked())
    coalescer.add("a", 0)
    coalescer.add("b", 900 * MS)
    assert coalescer.next_deadline_ns() == ANSWER_TIMEOUT_NS == 1 * S
    assert coalescer.on_timer(1 * S - 1) == []
    assert coalescer.on_timer(1 * S) == ["a"]
    assert asked.count == 2
    assert coalescer.on_answer(1, 1 * S) == []
    assert coalescer.next_deadline_ns() == 1900 * MS
    assert coalescer.on_timer(1900 * MS) == ["b"]
    assert coalescer.on_timer(2 * S) == []
    assert coalescer.next_deadline_ns() is None


steps = st.lists(st.sampled_from(["add", "answer", "old answer", "wait", "wait long"]), max_size=40)


@given(steps)
def test_every_request_is_answered_or_given_up_once_and_in_time(story: list[str]) -> None:
    """Whatever comes in whatever order; and at most one question is under way."""
    coalescer: RequestCoalescer[int] = RequestCoalescer(asked := Asked())
    now_ns, added, ended = 0, dict[int, int](), list[int]()
    for step in [*story, "wait long", "wait long"]:
        if step == "add":
            added[len(added)] = now_ns
            coalescer.add(len(added) - 1, now_ns)
        elif step.startswith("wait"):
            now_ns += 300 * MS if step == "wait" else ANSWER_TIMEOUT_NS
            ended += coalescer.on_timer(now_ns)
        else:
            ended += coalescer.on_answer(asked.count - (step == "old answer"), now_ns)
        late = [request for request, at_ns in added.items() if at_ns + ANSWER_TIMEOUT_NS <= now_ns]
        assert set(late) <= set(ended)
    assert sorted(ended) == list(added)
    assert coalescer.next_deadline_ns() is None
