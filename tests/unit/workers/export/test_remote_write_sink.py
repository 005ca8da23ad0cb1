"""The sink of remote write over scripted receivers: version, partial writes, repetition, restarts."""

from collections.abc import Sequence
from typing import Any

import pytest
from cramjam import snappy
from fakes.scripted_server import ScriptedServer, answering, http, serving
from fakes.series_rows import process_batch, unit_batch
from fakes.stored_batch import stored
from harness.protobuf_fields import fields_of
from msgspec.structs import replace
from remote_pb2.remote_pb2 import WriteRequest

from agent.endpoint import Endpoint
from agent.model.errors import FormatError
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.export.http_client import HttpClient
from workers.export.http_option import HttpSetup
from workers.export.remote_write_sink import RemoteWriteOptions, RemoteWriteSink, WriteParcel
from workers.export.sink import Delivered, Later, Paused, Refused, Verdict

OK_1 = http(204)


def ok_2(samples: int) -> bytes:
    """The answer of a receiver of 2.0 that wrote so many samples."""
    return http(204, b"", f"X-Prometheus-Remote-Write-Samples-Written: {samples}")


def sink_at(port: int, version: int | None = None, notes: list[str] | None = None, samples_max: int = 10_000) -> RemoteWriteSink:
    """A sink that sends every row."""
    options = RemoteWriteOptions(
        "/api/v1/write", (("job", "evergauge"),), S, 10_000, False, version, samples_max, repeated_bytes_max=1
    )
    client = HttpClient(Endpoint(False, "127.0.0.1", port), HttpSetup("a receiver of remote writes", timeout_ns=5 * S))
    return RemoteWriteSink(options, client, lambda kind, *_: None if notes is None else notes.append(kind))


def taken(sink: RemoteWriteSink, *batches: StoredBatch) -> WriteParcel:
    """What travels of some batches."""
    parcel = sink.take(batches)
    assert isinstance(parcel, WriteParcel)
    return parcel


def delivered(sink: RemoteWriteSink, *batches: StoredBatch) -> Verdict:
    """What becomes of some batches."""
    verdict = sink.deliver(taken(sink, *batches))
    sink.close()
    return verdict


def versions(server: ScriptedServer) -> list[str]:
    """Which version each request had, and that its body is one of it."""
    found = []
    for head, body in server.requests:
        content = bytes(snappy.decompress_raw(body))
        if b"write.v2.Request" in head:
            assert set(fields_of(content)) <= {4, 5}
            assert b"X-Prometheus-Remote-Write-Version: 2.0.0\r\n" in head
            found.append("2")
        else:
            WriteRequest().ParseFromString(content)
            assert b"X-Prometheus-Remote-Write-Version: 0.1.0\r\n" in head
            found.append("1")
        assert b"Content-Encoding: snappy\r\n" in head
    return found


def batches(*seconds: int) -> Sequence[StoredBatch]:
    """A unit with two samples a second."""
    return [unit_batch(second, "/a", pids=1, cpu_user_ns=1) for second in seconds]


def test_series_beyond_the_budget_are_counted() -> None:
    """Nobody refused them; over a restart they stay counted."""
    options = RemoteWriteOptions("/", (), S, 2, False, None, 10_000, repeated_bytes_max=1)
    sinks = [RemoteWriteSink(options, HttpClient(Endpoint(False, "127.0.0.1", 1), HttpSetup("nobody")), print) for _ in range(2)]
    assert sinks[0].left_out() == {"series": 0}
    sinks[0].take([unit_batch(1, name, pids=1, cpu_user_ns=1) for name in ("/a", "/b")])
    assert sinks[0].left_out()["series"] > 0
    sinks[1].restore(sinks[0].snapshot())
    assert sinks[1].left_out() == sinks[0].left_out()


def test_a_receiver_of_2_gets_2() -> None:
    """And is believed when it says that it wrote all."""
    with serving(answering(ok_2(2), ok_2(2))) as server:
        sink = sink_at(server.port)
        for second in range(2):
            assert sink.deliver(taken(sink, *batches(second))) == Delivered()
        sink.close()
        assert versions(server) == ["2", "2"]


@pytest.mark.parametrize("answer", [http(415, b"unsupported"), OK_1], ids=["415", "no word"])
def test_another_receiver_gets_1_and_2_again_after_a_lost_connection(answer: bytes) -> None:
    """One that was upgraded is found out when it comes back."""
    notes: list[str] = []
    with serving(answering(answer, OK_1, OK_1), answering(ok_2(2))) as server:
        sink = sink_at(server.port, notes=notes)
        assert sink.deliver(taken(sink, *batches(0))) == Delivered()
        assert sink.deliver(taken(sink, *batches(1))) == Delivered()
        assert versions(server) == ["2", "1", "1"]
        held = taken(sink, *batches(2))
        server_port = server.port
        sink._client.close()
        sink._client = HttpClient(Endpoint(False, "127.0.0.1", 1), HttpSetup("a receiver", timeout_ns=S))
        assert isinstance(sink.deliver(held), Later)
        sink._client = HttpClient(Endpoint(False, "127.0.0.1", server_port), HttpSetup("a receiver", timeout_ns=5 * S))
        assert sink.deliver(held) == Delivered()
        assert versions(server) == ["2", "1", "1", "2"]
        sink.close()
    assert notes == ["prometheus_version_1"]


def test_a_version_that_is_set_is_kept() -> None:
    """1.0 is sent as it is; a receiver that does not take 2.0 refuses it."""
    with serving(answering(OK_1)) as server:
        assert delivered(sink_at(server.port, 1), *batches(0)) == Delivered()
        assert versions(server) == ["1"]
    with serving(answering(OK_1)) as server:
        verdict = delivered(sink_at(server.port, 2), *batches(0))
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason) == (1, "no_version_2")


def test_a_partial_write_is_counted_in_rows() -> None:
    """Half of the samples are half of the rows."""
    partial = http(400, b"out of order sample", "X-Prometheus-Remote-Write-Samples-Written: 4")
    with serving(answering(partial)) as server:
        sink = sink_at(server.port)
        sink.take(batches(-1))
        verdict = delivered(sink, *batches(0, 1, 2, 3))
        assert verdict == Delivered(2, "too_old", "out of order sample")
    with serving(answering(http(400, b"label is wrong"))) as server:
        assert delivered(sink_at(server.port, 1), *batches(0, 1)) == Delivered(2, "http_400", "label is wrong")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_receiver_gets_the_same_bytes_again(status: int) -> None:
    """Byte for byte, with its own word when."""
    with serving(answering(http(status, b"later", "Retry-After: 7"), ok_2(2))) as server:
        sink = sink_at(server.port)
        parcel = taken(sink, *batches(0))
        verdict = sink.deliver(parcel)
        assert isinstance(verdict, Later)
        assert verdict.after_ns == 7 * S
        assert sink.deliver(parcel) == Delivered()
        sink.close()
        assert server.requests[0][1] == server.requests[1][1]


def test_other_answers_are_those_of_http() -> None:
    """401 needs a person, 422 is refused."""
    with serving(answering(http(401, b"no"))) as server:
        assert isinstance(delivered(sink_at(server.port), *batches(0)), Paused)
    with serving(answering(http(422, b"no"))) as server:
        verdict = delivered(sink_at(server.port), *batches(0))
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason) == (1, "http_422")


@pytest.mark.parametrize("status", [200, 400])
def test_a_page_for_people_is_no_receiver(status: int) -> None:
    """A proxy that asks for a login answers 200: nothing was written, and nothing is counted as delivered or rejected."""
    page = http(status, b"<html>Log in</html>", "Content-Type: text/html")
    with serving(answering(page, page, page)) as server:
        verdict = delivered(sink_at(server.port), *batches(0))
        assert isinstance(verdict, Paused)
        assert "page for people" in verdict.sentence
        assert isinstance(delivered(sink_at(server.port, version=1), *batches(0)), Paused)
        sink = sink_at(server.port)
        assert isinstance(sink.probe(), Paused)
        sink.close()


def test_a_success_in_words_is_a_warning() -> None:
    """Receivers of 1.0 answer without any; something else may take whatever comes."""
    with serving(answering(http(200, b"hello"))) as server:
        verdict = delivered(sink_at(server.port, version=1), *batches(0))
        assert isinstance(verdict, Delivered)
        assert verdict.refused_rows == 0
        assert f"127.0.0.1:{server.port}/api/v1/write answered 200 with words of its own" in verdict.sentence


def test_the_first_parcel_after_a_start_may_be_a_repetition() -> None:
    """What a receiver refuses of it as too old is there already, as far as anybody can know."""
    partial = http(400, b"out of order sample", "X-Prometheus-Remote-Write-Samples-Written: 6")
    with serving(answering(partial)) as server:
        verdict = delivered(sink_at(server.port), *batches(0, 1, 2, 3))
        sentence = "2 samples were there already, or are too old (out of order sample)"
        assert verdict == Delivered(sentence=sentence)


def test_one_old_sample_costs_no_others_in_version_1() -> None:
    """Its receivers take a request whole or not at all, so it is divided by time, and then by series."""
    old = http(400, b"out of order sample")
    with serving(answering(old, old, OK_1, old, OK_1)) as server:
        sink = sink_at(server.port, 1)
        sink.take(batches(-1))
        verdict = delivered(sink, *batches(0, 1))
        # Both samples of the first second, one of them taken alone, and those of the second one.
        assert verdict == Delivered(1, "too_old", "out of order sample")
        assert len(server.requests) == 5


def test_a_request_that_is_too_large_is_divided_and_nothing_is_sent_twice() -> None:
    """Down to one series, which is passed over."""
    too_large, later = http(413, b"too large"), http(503, b"")
    units = unit_batch(0, "/a", "/b", "/c", "/d", pids=1)
    with serving(answering(too_large, ok_2(2), later, too_large, ok_2(1), too_large)) as server:
        sink = sink_at(server.port)
        parcel = taken(sink, units)
        assert isinstance(sink.deliver(parcel), Later)
        verdict = sink.deliver(parcel)
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason) == (1, "too_large")
        sink.close()
        bodies = [body for _, body in server.requests]
        assert bodies[2] == bodies[3]
        assert len(set(bodies)) == 5


def test_many_samples_are_several_requests() -> None:
    """Receivers have limits."""
    with serving(answering(ok_2(3), ok_2(3))) as server:
        assert delivered(sink_at(server.port, samples_max=3), unit_batch(0, "/a", "/b", "/c", pids=1, cpu_user_ns=1)) == Delivered()
        assert len(server.requests) == 2


def test_rows_that_cannot_be_read_are_told_and_cost_no_others() -> None:
    """The readable ones are delivered."""
    broken = replace(unit_batch(1, "/a"), rows=b"\xff")
    with serving(answering(ok_2(2))) as server:
        verdict = delivered(sink_at(server.port), *batches(0), broken)
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason) == (1, "unreadable")
        assert len(server.requests) == 1
        assert delivered(sink_at(server.port), broken) == verdict
        assert len(server.requests) == 1


def test_batches_without_samples_travel_not_at_all() -> None:
    """Names of pods, and rows within an interval that was told."""
    sink = sink_at(1)
    pod: dict[str, Any] = {
        "pod_uid": "uid-1",
        "kind": "pod",
        "pod_namespace": "shop",
        "pod_name": "web-0",
        "cgroup": "/",
        "containers": 1,
    }
    names = [
        stored(POD_GROUP, [pod | {"timestamp": 1, "valid_from": 1, "run": "r"}]),
        stored(CONTAINER_NAME, [{"timestamp": 1, "container_id": "c1", "name": "nginx", "pod_uid": "uid-1", "run": "r"}]),
    ]
    assert sink.take(names) is None
    assert sink.take([process_batch(0, ("a", 1, 1, 1, 1))]) is None
    parcel = taken(sink, unit_batch(0, "uid-1", kind="pod", container="c1", pids=1))
    (series,) = parcel.requests[0].series
    assert ("container", "nginx") in series.pairs
    assert ("namespace", "shop") in series.pairs


def test_a_restart_sends_the_same_bytes() -> None:
    """From a snapshot, and the batches since, which are skipped."""
    first, again = sink_at(1), sink_at(1)
    first.take(batches(0, 1))
    snapshot = first.snapshot()
    first.take(batches(2, 3))
    again.restore(snapshot)
    again.skip(batches(2, 3))
    bodies = [taken(sink, *batches(4)).requests[0].body(2) for sink in (first, again)]
    assert bodies[0] == bodies[1]
    with pytest.raises(FormatError):
        again.restore(b"\x01")
    again.restore(b"")
    assert again.snapshot() == sink_at(1).snapshot()


def test_a_probe_sends_no_samples() -> None:
    """And finds out whether somebody takes remote writes there."""
    with serving(answering(ok_2(0), http(404))) as server:
        sink = sink_at(server.port)
        assert sink.probe() == Delivered()
        assert isinstance(sink.probe(), Paused)
        sink.close()
    with serving(answering(http(400, b"no tenant"))) as server:
        sink = sink_at(server.port)
        assert sink.probe() == Refused("http_400", "no tenant")
        sink.close()
