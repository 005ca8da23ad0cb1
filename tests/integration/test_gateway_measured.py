"""/metrics with what the agent measures, over a real spool and real sockets, in one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.gateway_host import GatewayHost, running_gateway
from fakes.series_rows import BEGIN_NS, at, process_batch, sketch_batch, unit_batch
from fakes.spool_files import SpoolFiles
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from agent.model.rule import Assignment, Unit, UnitKind, canonical
from agent.model.timebase import S
from workers.gateway.measured import PAUSE_MAX_NS
from workers.gateway.work import FORGET_NS

CPU = "evergauge_unit_cpu_seconds_total"


class Scraped:
    """A gateway, its spool, and what a scraper of it sees."""

    def __init__(self, host: GatewayHost, state: Path) -> None:
        self.host = host
        self.spool = SpoolFiles(state, BEGIN_NS)
        self.second = 0
        host.clock.set_wall_ns(BEGIN_NS)

    def pass_seconds(self, seconds: int, *units: str) -> None:
        """Each second each unit uses half a second of CPU."""
        for _ in range(seconds):
            self.second += 1
            self.spool.append(unit_batch(self.second, *units, cpu_user_ns=S // 2, pids=self.second), at(self.second))
        self.host.clock.advance(seconds * S)

    def scrape(self, accept: str = "text/plain") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample by name and labels."""
        received = self.host.ask("/metrics", accept=accept)
        assert received.status == 200
        read = read_openmetrics if "openmetrics" in received.fields["content-type"] else read_plain
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in read(received.body.decode())
            for sample in family.samples
        }

    def cpu(self, unit: str = "/a") -> float | None:
        """The CPU of a unit as it is scraped now."""
        labels = frozenset({("unit", unit), ("kind", "service"), ("mode", "user")})
        return self.scrape().get((CPU, labels))


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scraped]:
    """With nothing stored yet."""
    with running_gateway(state_dir=str(tmp_path)) as host:
        yield Scraped(host, tmp_path)


def test_the_first_scrape_shows_the_last_minute(scraped: Scraped) -> None:
    """Units that do nothing have a row a minute; what is older is not shown."""
    scraped.pass_seconds(1, "/old")
    scraped.pass_seconds(100, "/a")
    assert scraped.cpu() == pytest.approx(33.0, abs=0.5)
    assert scraped.cpu("/old") is None


def test_later_scrapes_add_what_was_stored_since(scraped: Scraped) -> None:
    """Every row once."""
    scraped.pass_seconds(2, "/a")
    assert [scraped.cpu(), scraped.cpu()] == [1.0, 1.0]
    for scrape in range(1, 5):
        scraped.pass_seconds(10, "/a")
        assert scraped.cpu() == 1.0 + 5 * scrape


def test_a_segment_that_was_sealed_between_two_scrapes_is_read_to_its_end(scraped: Scraped) -> None:
    """The writer removes it; no second of it is missing."""
    scraped.pass_seconds(2, "/a")
    assert scraped.cpu() == 1.0
    scraped.pass_seconds(4, "/a")
    scraped.spool.rotate(at(scraped.second)).unlink()
    scraped.pass_seconds(4, "/a")
    assert scraped.cpu() == 5.0


def test_counters_begin_again_where_something_was_removed_unread(scraped: Scraped) -> None:
    """They fall back rather than miss something silently."""
    scraped.pass_seconds(20, "/a")
    assert scraped.cpu() == 10.0
    for _ in range(2):
        scraped.pass_seconds(2, "/a")
        scraped.spool.rotate(at(scraped.second)).unlink()
    scraped.pass_seconds(2, "/a")
    assert scraped.cpu() == 1.0


def test_counters_begin_again_after_a_pause(scraped: Scraped) -> None:
    """Reading hours of rows for one answer would take too long."""
    scraped.pass_seconds(200, "/a")
    scraped.cpu()
    scraped.pass_seconds(PAUSE_MAX_NS // S - 1, "/a")
    assert scraped.cpu() == pytest.approx(182, abs=1)
    scraped.pass_seconds(PAUSE_MAX_NS // S + 1, "/a")
    assert scraped.cpu() == pytest.approx(33, abs=1)


def test_nobody_scrapes_and_nothing_is_read(scraped: Scraped, tmp_path: Path) -> None:
    """The gateway sleeps; after the last scrape it wakes once, to forget it."""
    scraped.pass_seconds(2, "/a")
    assert scraped.host.work.next_deadline_ns() is None
    scraped.cpu()
    scraped.host.turn_until(lambda: len(scraped.host.work.interests()) == 1)
    assert scraped.host.work.next_deadline_ns() == scraped.host.clock.now_ns() + FORGET_NS
    held = scraped.spool.rotate(at(2))
    held.unlink()
    assert str(held) in open_files()
    scraped.host.pass_time(FORGET_NS)
    assert scraped.host.work.next_deadline_ns() is None
    assert str(held) not in open_files()


def open_files() -> str:
    """What this process holds open."""
    found = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return "\n".join(map(str, found))


def test_names_of_pods_come_from_the_assignments(scraped: Scraped) -> None:
    """No row of the last minute has them."""
    unit = Unit("uid-1", UnitKind.POD, "/k", namespace="shop", name="web-0", container_names={"c1": "nginx"})
    scraped.host.rules.put("pod/uid-1", canonical(Assignment(unit, None, None, 1)))
    scraped.host.rules.put("pod/uid-2", b"no assignment")
    scraped.spool.append(unit_batch(0, "uid-1", kind="pod", container="c1", pids=3), at(0))
    found = {labels: value for (name, labels), value in scraped.scrape().items() if name == "evergauge_container_pids"}
    (labels,) = found
    assert dict(labels) == {
        "container": "nginx", "container_id": "c1", "kind": "pod", "namespace": "shop", "pod": "web-0", "unit": "uid-1",
    }  # fmt: skip


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_both_text_formats_say_the_same(scraped: Scraped, accept: str) -> None:
    """Sketches are quantiles there, and hostile names come back as they were."""
    scraped.spool.append(unit_batch(0, 'q"u\\o', "ü", "/a", pids=3, cpu_limit_cores=0.1, cpu_user_ns=10**18), at(0))
    scraped.spool.append(sketch_batch(0, "/a", "x", "rss", [1 << 20] * 99 + [1 << 30]), at(0))
    scraped.spool.append(process_batch(0, ("bash", 1, S, 1, 1)), at(0))
    found = scraped.scrape(accept)
    units = {dict(labels)["unit"] for name, labels in found if name == "evergauge_unit_pids"}
    assert units == {'q"u\\o', "ü", "/a"}
    assert found["evergauge_unit_cpu_limit_cores", frozenset({("unit", "ü"), ("kind", "service")})] == 0.1
    half = frozenset({("quantile", "0.5"), ("command", "x"), ("unit", "/a")})
    assert found["evergauge_process_memory_quantile_bytes", half] == pytest.approx(1 << 20, rel=0.006)
    assert found["evergauge_top_command_cpu_cores", frozenset({("rank", "1"), ("command", "bash")})] == 1.0
    assert found["evergauge_metrics_readable", frozenset()] == 1
    assert found["evergauge_metrics_series", frozenset({("table", "unit")})] == 9
    assert found["evergauge_up", frozenset()] == 1


def test_a_busy_node_s_scrape_delays_no_probe(scraped: Scraped) -> None:
    """/live is answered between two turns of a scrape."""
    for second in range(60):
        units = [f"/u{number}" for number in range(100)]
        scraped.spool.append(unit_batch(second, *units, cpu_user_ns=1, pids=1, memory_current_bytes=1), at(second))
    host = scraped.host
    host.clock.advance(60 * S)
    metrics = host.connect()
    metrics.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    host.turn_until(lambda: host.work.next_deadline_ns() == 0)
    for _ in range(3):
        assert host.ask("/live").status == 200
        assert not metrics.receive()
    assert host.finish(metrics).status == 200


def test_several_scrapers_share_what_is_read(scraped: Scraped) -> None:
    """One reading, and an answer in the format of each."""
    scraped.pass_seconds(4, "/a")
    host = scraped.host
    clients = [host.connect() for _ in range(3)]
    for client, accept in zip(clients, ("text/plain", "application/openmetrics-text", "text/plain"), strict=True):
        client.send(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
    answers = [host.finish(client) for client in clients]
    assert [answer.body.count(b'mode="user",kind="service",unit="/a"} 2.0\n') for answer in answers] == [1, 1, 1]
    assert [answer.body.endswith(b"# EOF\n") for answer in answers] == [False, True, False]


def test_batches_that_cannot_be_read_are_counted(scraped: Scraped) -> None:
    """The others are shown."""
    scraped.pass_seconds(1, "/a")
    scraped.spool.append(replace(unit_batch(1, "/a"), rows=b"\xff"), at(1))
    assert scraped.cpu() == 0.5
    assert scraped.scrape()["evergauge_metrics_batches_unreadable_total", frozenset()] == 1


@pytest.mark.runbook("Gateway")
def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    """Nobody reads them then; the other paths stay."""
    with running_gateway(state_dir=str(tmp_path), **{"gateway.metrics": "off"}) as host:
        assert [host.ask(path).status for path in ("/metrics", "/live", "/ready")] == [404, 200, 200]


@pytest.mark.runbook("Gateway")
def test_a_budget_of_series_is_kept(tmp_path: Path) -> None:
    """What found no room is counted."""
    with running_gateway(state_dir=str(tmp_path), **{"gateway.series_max": 50}) as host:
        scraped = Scraped(host, tmp_path)
        scraped.pass_seconds(2, "/a", "/b", "/c")
        found = scraped.scrape()
        assert found["evergauge_metrics_series_left_out_total", frozenset({("table", "unit")})] > 30
        assert sum(name == "evergauge_unit_pids" for name, _ in found) == 1
