"""The lease: one holder at a time, until it is given back or its time is over."""

import pytest
from fakes.lake_ports import LakeHost
from fakes.memory_bucket import MemoryBucket

from agent.lake.path import LEASE
from workers.compactor.lease import LEASE_NS, CompactorLease


def leases(bucket: MemoryBucket, host: LakeHost) -> tuple[CompactorLease, CompactorLease]:
    """Two compactors of one lake."""
    ports = host.ports
    return CompactorLease(bucket, "first", ports), CompactorLease(bucket, "second", ports)


def test_one_holds_it_until_it_is_given_back() -> None:
    """The other knows who."""
    bucket, host = MemoryBucket(), LakeHost()
    first, second = leases(bucket, host)
    assert first.take()
    assert not second.take()
    assert second.other == "first"
    second.give_back()
    assert not second.take()
    first.give_back()
    assert second.take()
    assert not first.take()


def test_who_was_killed_keeps_others_waiting_for_a_while() -> None:
    """And who works holds on."""
    bucket, host = MemoryBucket(), LakeHost()
    first, second = leases(bucket, host)
    assert first.take()
    changes = bucket.changes
    assert first.renew()
    assert bucket.changes == changes
    host.now_ns += LEASE_NS // 2
    assert first.renew()
    assert bucket.changes > changes
    host.now_ns += LEASE_NS - 1
    assert not second.take()
    host.now_ns += 1
    assert second.take()
    assert not first.renew()


@pytest.mark.parametrize("content", [b"", b"{", b'{"holder":"x","token":"y","until_ns":9000000000000000000}'])
def test_what_nobody_can_hold_is_taken(content: bytes) -> None:
    """Nonsense, and a lease far longer than any."""
    bucket = MemoryBucket()
    bucket.replace(LEASE, content)
    first, _ = leases(bucket, LakeHost())
    assert first.take()


def test_of_two_who_take_it_at_once_one_has_it() -> None:
    """By the tag of what was there."""
    bucket, host = MemoryBucket(), LakeHost()
    first, second = leases(bucket, host)

    class Raced(MemoryBucket):
        """The second is faster."""

        def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
            assert second.take()
            return bucket.exchange(name, content, tag)

    raced = CompactorLease(Raced(), "first", host.ports)
    assert not raced.take()
    assert raced.other == "another compactor"
    assert first.take() is False


def test_the_time_of_the_store_is_that_of_the_lease() -> None:
    """0 before there is one."""
    bucket, host = MemoryBucket(), LakeHost()
    first, _ = leases(bucket, host)
    assert first.now_ns() == 0
    bucket.now_ns = 77
    assert first.take()
    assert first.now_ns() == 77
    bucket.delete(LEASE)
    first.give_back()
