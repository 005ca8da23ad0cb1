"""Marks in a real Redis: the newer one stays, and a server that is gone costs nothing but the marks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.sinks.loopback_port import LoopbackPort
from harness.sinks.redis_server import RedisServer
from harness.waiting import SLOWNESS, in_time, wait_until

from agent.lake.mark_cache import AGAIN_MOST_NS, MarkCache
from agent.lake.mark_form import CachedMark, mark_key
from workers.merger.mark_publisher import MarkPublisher
from workers.merger.outcome import NumberedMark

US = 1_000


class CacheClock:
    """A clock of the test's own, so that nobody waits for the next attempt."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_time(self) -> None:
        """Until the next attempt is allowed."""
        self.now += AGAIN_MOST_NS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty one."""
    with RedisServer(tmp_path / "redis") as started:
        yield started


def marks(**hosts: tuple[int, int]) -> dict[str, CachedMark]:
    """Of commit and microseconds."""
    return {host: CachedMark(commit, us * US) for host, (commit, us) in hosts.items()}


def test_of_two_marks_the_one_of_the_later_commit_stays(server: RedisServer) -> None:
    """Also where its time is earlier; other tables and lakes are apart."""
    cache = MarkCache(server.url, "lake")
    assert cache.publish("process", marks(a=(1, 5), b=(2, 7))) == 2
    assert cache.publish("process", marks(a=(2, 3), b=(2, 6), c=(1, 1))) == 2
    assert cache.read("process", ["a", "b", "c", "d"]) == marks(a=(2, 3), b=(2, 7), c=(1, 1))
    assert cache.read("unit", ["a"]) == {}
    assert MarkCache(server.url, "other").read("process", ["a"]) == {}
    assert int(server.call("TTL", mark_key("lake", "process"))[0]) > 3_600
    assert cache.problem == ""
    cache.close()
    cache.close()


def test_the_socket_of_a_server_is_an_address_too(server: RedisServer) -> None:
    """Without a port."""
    cache = MarkCache(f"unix://{server.socket_path}", "lake")
    assert cache.publish("process", marks(a=(1, 5))) == 1
    cache.close()


def test_what_is_no_mark_is_not_read_and_is_replaced(server: RedisServer) -> None:
    """Somebody else's text, and a key of another type."""
    cache = MarkCache(server.url, "lake")
    server.call("HSET", mark_key("lake", "process"), "a", "zzz", "b", "9" * 41)
    assert cache.read("process", ["a", "b"]) == {}
    assert cache.publish("process", marks(a=(1, 5))) == 1
    assert cache.read("process", ["a", "b"]) == marks(a=(1, 5))
    server.call("SET", mark_key("lake", "unit"), "text")
    assert cache.publish("unit", marks(a=(1, 5))) is None
    assert "WRONGTYPE" in cache.problem
    cache.close()


def test_many_hosts_are_asked_in_parts(server: RedisServer) -> None:
    """And all of them are answered."""
    cache = MarkCache(server.url, "lake")
    many = {f"host-{number}": CachedMark(3, number * US) for number in range(2_345)}
    assert cache.publish("process", many) == len(many)
    assert cache.publish("process", many) == 0
    assert cache.read("process", [*many, "unknown"]) == many
    cache.close()


@pytest.mark.runbook("Merger")
def test_a_server_that_is_killed_or_stands_still_makes_marks_unknown(server: RedisServer) -> None:
    """Within a time, without an exception; it is asked again later."""
    clock = CacheClock()
    cache = MarkCache(server.url, "lake", now_ns=clock)
    cache.publish("process", marks(a=(1, 5)))
    server.kill()
    assert cache.read("process", ["a"]) == {}
    assert server.url in cache.problem
    server.start()
    assert cache.read("process", ["a"]) == {}
    assert cache.problem
    clock.pass_time()
    assert cache.read("process", ["a"]) == {}
    assert cache.problem == ""
    assert cache.publish("process", marks(a=(1, 4))) == 1
    server.pause()

    def asked(_: int) -> float:
        import time

        began = time.monotonic()
        clock.pass_time()
        assert cache.read("process", ["a"]) == {}
        return time.monotonic() - began

    in_time(asked, seconds=1.0 * SLOWNESS)
    server.resume()
    clock.pass_time()
    assert cache.read("process", ["a"]) == marks(a=(1, 4))
    cache.close()


def test_a_server_that_never_was_is_a_sentence() -> None:
    """For publishers and readers."""
    port = LoopbackPort.take()
    try:
        cache = MarkCache(f"redis://127.0.0.1:{port.number}/0", "lake")
        assert cache.publish("process", marks(a=(1, 5))) is None
        assert cache.read("process", ["a"]) == {}
        assert "refused" in cache.problem
        cache.close()
    finally:
        port.release()


def test_a_publisher_fills_a_cache_that_has_lost_everything(server: RedisServer) -> None:
    """Flushed, and killed; what is no longer its own it does not publish."""
    publisher = MarkPublisher(MarkCache(server.url, "lake"), turn_ns=20_000_000)
    publisher.start()
    reader = MarkCache(server.url, "lake")
    owned = {"process": {f"h{number}": NumberedMark(7, number * US) for number in range(50)}}
    expected = {host: CachedMark(mark.number, mark.low_ns) for host, mark in owned["process"].items()}

    def is_filled() -> bool:
        return reader.read("process", expected) == expected

    publisher.take(owned)
    wait_until(is_filled, "the marks")
    server.call("FLUSHALL")
    wait_until(is_filled, "the marks after a flush")
    server.kill()
    wait_until(lambda: publisher.problem, "the problem is told")
    server.start()
    wait_until(is_filled, "the marks after a kill")
    publisher.clear()
    server.call("FLUSHALL")
    publisher.take({"process": {"h1": NumberedMark(8, 5 * US)}})
    wait_until(lambda: reader.read("process", ["h1"]) == marks(h1=(8, 5)), "the new one")
    assert reader.read("process", expected) == marks(h1=(8, 5))
    assert publisher.published > 100
    assert publisher.close(5)
    reader.close()
