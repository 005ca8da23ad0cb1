"""The link between the threads that hear a runtime and the worker's loop."""

import select
from collections.abc import Iterator

import pytest

from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime import link as module
from workers.control_plane.container_runtime.event import (
    ContainerStarting,
    LinkState,
    PodStarted,
    RuntimeContainer,
    RuntimePod,
    RuntimeWire,
    StartOutcome,
    Synchronized,
)
from workers.control_plane.container_runtime.link import RuntimeLink, StartedContainer

POD = RuntimePod("s1", "u1", "shop", "web")
CONTAINER = RuntimeContainer("c1", "s1", "nginx")


@pytest.fixture
def link() -> Iterator[RuntimeLink]:
    """A link of which nothing was heard yet."""
    link = RuntimeLink(Binder([]))
    yield link
    link.close()


def _is_readable(link: RuntimeLink) -> bool:
    return bool(select.select([link.descriptor], [], [], 0)[0])


def test_what_is_told_wakes_the_loop_which_takes_it_once(link: RuntimeLink) -> None:
    """The state as it is when it is taken, with what the fast path did."""
    outcome = StartOutcome("u1", "mon_groups/pod_u1", is_new=True)
    link.tell(RuntimeWire.NRI, PodStarted(POD))
    link.tell(RuntimeWire.NRI, ContainerStarting(POD, CONTAINER, outcome))
    assert (_is_readable(link), link.has_news) == (True, True)
    news = link.take()
    known = news.changed["u1"]
    assert known is not None
    assert [container.id for container in known.containers] == ["c1"]
    assert news.outcomes == (StartedContainer("u1", "c1", outcome),)
    assert (_is_readable(link), link.has_news) == (False, False)
    assert (link.take().changed, link.take().outcomes) == ({}, ())


def test_cri_counts_only_without_nri(link: RuntimeLink) -> None:
    """A list that was asked for is older than what is reported as it happens."""
    link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True, runtime="containerd 1.7.24"))
    link.tell(RuntimeWire.NRI, PodStarted(POD))
    link.tell(RuntimeWire.CRI, Synchronized((), ()))
    assert list(link.pods()) == ["u1"]
    link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False, problem="gone"))
    assert not link.is_nri_connected
    link.tell(RuntimeWire.CRI, Synchronized((), ()))
    assert link.pods() == {}
    assert link.take().changed == {"u1": None}


def test_a_list_over_cri_is_older_than_nri_that_came_and_went_meanwhile(link: RuntimeLink) -> None:
    """It would take away what NRI reported after the list was begun; the next list counts."""
    begun = link.nri_changes
    link.tell_state(LinkState(RuntimeWire.NRI, is_connected=True))
    link.tell(RuntimeWire.NRI, PodStarted(POD))
    assert not link.tell_list(Synchronized((), ()), link.nri_changes)
    link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False, problem="gone"))
    assert not link.tell_list(Synchronized((), ()), begun)
    assert list(link.pods()) == ["u1"]
    link.tell_state(LinkState(RuntimeWire.NRI, is_connected=False, problem="still gone"))
    assert link.tell_list(Synchronized((), ()), begun + 2)
    assert link.pods() == {}


def test_a_state_that_is_told_again_wakes_nobody(link: RuntimeLink) -> None:
    """Only how things stand from now on counts."""
    state = LinkState(RuntimeWire.NRI, is_connected=True)
    link.tell_state(state)
    assert link.take().states == (state,)
    link.tell_state(state)
    assert not _is_readable(link)


def test_outcomes_beyond_the_bound_are_counted(link: RuntimeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop makes again what it has not heard of; the container itself is never lost."""
    monkeypatch.setattr(module, "OUTCOMES_MAX", 1)
    for number in range(3):
        link.tell(RuntimeWire.NRI, ContainerStarting(POD, RuntimeContainer(f"c{number}", "s1"), StartOutcome("u1")))
    news = link.take()
    known = news.changed["u1"]
    assert known is not None
    assert (len(news.outcomes), len(known.containers)) == (1, 3)
    stats = link.stats()
    assert (stats["dropped"]["outcomes"], stats["pods"], stats["containers"]) == (2, 1, 3)
