"""The hub's loop, without nodes: what it does with questions whose answers are long."""

from pathlib import Path
from random import Random

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.hub_story import TERMS, member

from agent.model.errors import ExitCode, UnavailableError
from agent.model.message import ForeignBatch
from agent.model.timebase import HOUR
from agent.ports import Operation
from workers.http.edge import edge_of
from workers.http.host import host_policy
from workers.hub.endpoint import HubEndpoint
from workers.hub.fleet_http import HttpPlace
from workers.hub.fleet_operations import HubPlace
from workers.hub.http_place import page_files
from workers.hub.hub_files import HubFiles
from workers.hub.listing import PARTS_PER_TURN
from workers.hub.membership import FORMAT, Membership, MembershipDocument
from workers.hub.work import GATHERINGS_MAX, HubParts, HubWork

MEMBERS = 3 * PARTS_PER_TURN


class NoStore:
    """A forwarder that takes nothing: no node sends rows here."""

    def offer(self, batch: ForeignBatch) -> int | None:
        """There is no room."""
        return None

    def stored(self) -> int:
        """Nothing is."""
        return 0


def nowhere(_is_member: object) -> HubEndpoint:
    """Nobody can connect."""
    raise UnavailableError("tcp://nowhere", "it cannot be listened at")


@pytest.fixture
def hub(tmp_path: Path) -> HubWork:
    """One with more members than a turn has rows."""
    members = [member(number) for number in range(1, MEMBERS + 1)]
    edge = edge_of("127.0.0.1", section="hub", cookie="hub")
    http = HttpPlace("", 0, host_policy("127.0.0.1", "", "hub.allowed_hosts"), edge, None, page_files().answer)
    membership = Membership(MembershipDocument(FORMAT, members, []), 2 * MEMBERS)
    place = HubPlace("", "", 0, 0, "hub", bytes(32), HOUR)
    parts = HubParts(TERMS, place, membership, HubFiles(str(tmp_path)), nowhere, http, NoStore(), Random(1))
    return HubWork(parts, FakeClock(), RecordingBus())


def test_a_long_answer_comes_later(hub: HubWork) -> None:
    """A few rows in a turn; the loop turns at once while there are more."""
    assert hub.on_operation(Operation(7, "hub-list", {}), 0) is None
    turns = 0
    while not (answers := hub.take_answers()):
        assert hub.next_deadline_ns() == 0
        hub.on_timer(0)
        turns += 1
    [(number, document)] = answers
    assert (number, len(document["members"]), turns) == (7, MEMBERS, 3)
    assert (hub.take_answers(), hub.next_deadline_ns() != 0) == ([], True)


def test_so_many_wait_for_long_answers_and_no_more(hub: HubWork) -> None:
    """Who comes then hears when to come again, and short answers are given all the while."""
    for number in range(GATHERINGS_MAX):
        assert hub.on_operation(Operation(number, "hub-list", {}), 0) is None
    refused = hub.on_operation(Operation(99, "hub-list", {}), 0)
    assert refused is not None
    assert (refused["refused"]["exit"], "try again" in refused["refused"]["sentence"]) == (int(ExitCode.TRY_AGAIN), True)
    short = hub.on_operation(Operation(100, "fleet-workers", {}), 0)
    assert short is not None
    assert short["workers"] == []
    done: list[int] = []
    while len(done) < GATHERINGS_MAX:
        hub.on_timer(0)
        done += [number for number, _ in hub.take_answers()]
    assert done == list(range(GATHERINGS_MAX))
