"""Sealed files in a real bucket: what is there is what was stored, each row once, whatever happens on the way."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.failpoints import arm
from fakes.object_export import ObjectExportHost, export_process, files_below, rows_in
from fakes.stored_segments import StoredSegments, values_of
from harness.sinks.certificates import Authority
from harness.sinks.fault_proxy import FaultProxy
from harness.sinks.object_server import ObjectServer
from obstore.store import S3Store

from workers.export.sink import Delivered, Later, Paused, SinkContext, SinkValues, Verdict
from workers.exporters.object import SINK

KILLS = ("object.before_put", "object.put", "cursor.before_write", "cursor.written")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[ObjectServer]:
    """A real object server."""
    with ObjectServer(tmp_path / "server") as server:
        yield server


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[FaultProxy]:
    """A real proxy."""
    with FaultProxy(tmp_path / "proxy") as proxy:
        yield proxy


def test_a_bucket_gets_the_same_files(tmp_path: Path, bucket: ObjectServer) -> None:
    """Below the prefix of the URL, in one request each, as they lie in the agent's data."""
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}/fleet/a=1")
    for _ in range(3):
        stored.segment(lost=2)
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path))
    host.settle()
    files = files_below(bucket.bucket_folder / "fleet" / "a=1")
    own = {path.name: path.read_bytes() for path in (stored.state / "data").rglob("*.parquet")}
    assert {name.rsplit("/", 1)[1]: content for name, content in files.items()} == own
    assert set(bucket.objects()) == {f"fleet/a=1/{name}" for name in files}
    assert host.stats["points"] == host.ledger["delivered"]
    host.kill()


def test_a_lost_answer_is_no_second_file_and_no_refusal(tmp_path: Path, bucket: ObjectServer, faults: FaultProxy) -> None:
    """The connection ends after the put: the next attempt meets its own file, and passes."""
    way = faults.to(bucket.port)
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}/x")
    stored.segment(lost=2)
    way.limit_data(20)
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path, port=way.port))
    host.run_until(lambda: len(bucket.objects()) == 1 and host.stats["failures"] > 1, "a put without an answer")
    assert host.stats["state"] == "down"
    way.heal()
    ledger = host.settle()
    assert (ledger["delivered"], ledger["rejected"]) == (ledger["produced"], 0)
    assert rows_in(files_below(bucket.bucket_folder / "x")) == stored.rows()
    host.kill()


@pytest.mark.parametrize("fault", ["reset_peer", "timeout", "down", "latency"])
def test_a_way_that_fails_costs_nothing_but_time(fault: str, tmp_path: Path, bucket: ObjectServer, faults: FaultProxy) -> None:
    """Reset, half-open, refused, slow: rows wait and arrive once."""
    way = faults.to(bucket.port)
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}/x")
    stored.segment(lost=2)
    match fault:
        case "reset_peer":
            way.reset_peer()
        case "timeout":
            way.timeout()
        case "down":
            way.down()
        case _:
            way.latency(3000)
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path, port=way.port))
    host.run_until(lambda: host.stats.get("failures", 0) >= 1, "the failure")
    assert (host.stats["state"], host.ledger["pending"]) == ("down", host.ledger["produced"])
    assert f"s3://{bucket.bucket}/x" in host.sentence
    assert [(each.kind, each.active) for each in host.bus.conditions] == [("sink_down", True)]
    way.heal()
    assert host.settle()["rejected"] == 0
    assert rows_in(files_below(bucket.bucket_folder / "x")) == stored.rows()
    host.kill()


def test_a_server_that_is_killed_gets_each_file_once(tmp_path: Path, bucket: ObjectServer) -> None:
    """In the middle of five segments it dies and comes back."""
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}")
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path))
    for number in range(5):
        stored.segment(lost=1)
        if number % 2:
            host.run_until(lambda: host.stats.get("state") == "up", "a delivery")
        bucket.kill()
        host.run_until(lambda: host.stats.get("state") == "down" or host.is_settled, "the failure")
        bucket.start()
    host.settle()
    assert rows_in(files_below(bucket.bucket_folder)) == stored.rows()
    host.kill()


@pytest.mark.runbook("Sink of kind object")
def test_a_wrong_secret_pauses_and_is_never_shown(tmp_path: Path, bucket: ObjectServer) -> None:
    """The sentence names the bucket and what is refused; a corrected file is read without a restart."""
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}/x")
    stored.segment()
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path, secret="not-the-secret"))
    host.run_until(lambda: host.stats.get("state") == "paused", "the refusal")
    assert f"s3://{bucket.bucket}/x does not let us write (403 SignatureDoesNotMatch)" in host.sentence
    shown = json.dumps([host.stats, [note.fields for note in host.bus.notes], [each.detail for each in host.bus.conditions]])
    assert "not-the-secret" not in shown
    assert bucket.access_key not in shown
    values_of(bucket, tmp_path)
    host.settle()
    host.kill()


@pytest.mark.runbook("Sink of kind object")
def test_a_missing_bucket_pauses(tmp_path: Path, bucket: ObjectServer) -> None:
    """Nothing is made that nobody asked for; once it is there the rows come."""
    stored = StoredSegments(tmp_path / "state", url := "s3://nowhere")
    stored.segment()
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path))
    host.run_until(lambda: host.stats.get("state") == "paused", "the refusal")
    assert "s3://nowhere is not there (404 NoSuchBucket)" in host.sentence
    (bucket.folder / "buckets" / "nowhere").mkdir()
    host.settle()
    assert rows_in(files_below(bucket.folder / "buckets" / "nowhere")) == stored.rows()
    host.kill()


def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path, bucket: ObjectServer) -> None:
    """Its rows are counted as rejected, told, and the other files arrive; the same content passes."""
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}")
    stored.segment(lost=2)
    store = S3Store(bucket.bucket, **bucket.store_options)
    for path in (stored.state / "data").rglob("*.parquet"):
        table, date = path.parent.parent.name, path.parent.name
        # One that is as long as ours, and one that is ours without the metadata.
        content = b"x" * path.stat().st_size if table == "sample" else path.read_bytes()
        store.put(f"{table}/{date}/host=node-1/{path.name}", content)
    host = ObjectExportHost(stored.state, url, values_of(bucket, tmp_path))
    ledger = host.settle()
    assert ledger["rejected_by_reason"] == {"exists_with_other_content": 160}
    assert (ledger["delivered"], ledger["produced"]) == (1, 161)
    (note,) = [note for note in host.bus.notes if note.kind == "rejected_by_sink"]
    assert "sample/date=" in str(note.fields["problem"])
    assert {bytes(set(content)) for content in files_below(bucket.bucket_folder / "sample").values()} == {b"x"}
    host.kill()


@pytest.mark.parametrize("place", ["folder", "bucket"])
@pytest.mark.parametrize("point", KILLS)
def test_an_exporter_that_is_killed_loses_and_doubles_nothing(point: str, place: str, tmp_path: Path, bucket: ObjectServer) -> None:
    """At any moment between a put and its cursor: SIGKILL, five times, while segments are sealed, files gone, and sent."""
    folder = tmp_path / "lake"
    folder.mkdir()
    url = f"file://{folder}" if place == "folder" else f"s3://{bucket.bucket}/x"
    values: dict[str, int | str | bool] = {} if place == "folder" else values_of(bucket, tmp_path)
    (points := tmp_path / "points").mkdir()
    stored = StoredSegments(tmp_path / "state", url)
    rows: Counter[tuple[str, tuple[Any, ...]]] = Counter()
    for number in range(5):
        stored.segment(lost=1)
        rows |= stored.rows()
        if number % 2:
            shutil.rmtree(stored.state / "data" / "sample")
        arm(points, point, "kill")
        if number == 3:
            arm(points, "object.made", "kill")
        assert export_process(stored.state, url, values, points).returncode == -9
    done = export_process(stored.state, url, values, points)
    if done.returncode == -9:
        done = export_process(stored.state, url, values, points)
    assert done.returncode == 0, done.stderr
    ledger = json.loads(done.stdout)["ledger"]
    assert (ledger["delivered"], ledger["rejected"], ledger["pruned"], ledger["pending"]) == (ledger["produced"], 0, 0, 0)
    found = files_below(folder if place == "folder" else bucket.bucket_folder / "x")
    assert rows_in(found) == rows
    assert all(name.endswith(".parquet") and "/." not in name for name in found)


def test_a_probe_says_whether_the_place_can_be_reached(tmp_path: Path, bucket: ObjectServer) -> None:
    """Without storing anything: well, not the right secret, no such bucket, nobody there; and the same of a folder."""

    def answer(url: str, values: dict[str, int | str | bool]) -> Verdict:
        folder = tmp_path / "state" / "sinks" / "central"
        section = SinkValues("central", "object", {"url": url, **values})
        context = SinkContext(section, "node-1", "install", "0.1", str(folder), {}, lambda: 0, lambda *_words: None)
        sink = SINK.open(context)
        try:
            return sink.probe()
        finally:
            sink.close()

    url = f"s3://{bucket.bucket}/x"
    assert answer(url, values_of(bucket, tmp_path)) == Delivered()
    assert isinstance(answer("s3://nowhere", values_of(bucket, tmp_path)), Paused)
    refused = answer(url, values_of(bucket, tmp_path, secret="no"))
    assert isinstance(refused, Paused)
    assert "403 SignatureDoesNotMatch" in refused.sentence
    bucket.kill()
    assert answer(url, values_of(bucket, tmp_path)) == Later(f"{url} cannot be reached")
    (tmp_path / "lake").mkdir()
    assert answer(f"file://{tmp_path}/lake", {}) == Delivered()
    assert isinstance(answer(f"file://{tmp_path}/none", {}), Paused)
    assert bucket.objects() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no credentials in it"),
        ("AWS_ACCESS_KEY_ID", "line 1"),
        ("AWS_REGION=x", "another key"),
        ("AWS_ACCESS_KEY_ID=x", "incomplete"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_of_credentials_pauses(text: str | None, words: str, tmp_path: Path, bucket: ObjectServer) -> None:
    """The sentence says what is wrong with it, and repeats nothing of it."""
    stored = StoredSegments(tmp_path / "state", url := f"s3://{bucket.bucket}/x")
    stored.segment()
    values = values_of(bucket, tmp_path)
    path = tmp_path / "credentials"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    host = ObjectExportHost(stored.state, url, values)
    host.run_until(lambda: host.stats.get("state") == "paused", "the refusal")
    assert words in host.sentence
    host.kill()


def test_a_certificate_must_be_known(tmp_path: Path) -> None:
    """That of a server of one's own is, once its authority is named."""
    authority = Authority(tmp_path / "authority")
    with ObjectServer(tmp_path / "server", tls=authority.server("localhost", "127.0.0.1")) as server:
        stored = StoredSegments(tmp_path / "state", url := f"s3://{server.bucket}/x")
        stored.segment()
        values = {**values_of(server, tmp_path), "endpoint": f"https://localhost:{server.port}", "allow_http": False}
        host = ObjectExportHost(stored.state, url, values)
        host.run_until(lambda: host.stats.get("state") == "paused", "the refusal")
        assert "the certificate of s3://lab/x is not known; name its authority in ca_file" in host.sentence
        host.kill()
        host = ObjectExportHost(stored.state, url, {**values, "ca_file": str(authority.certificate)})
        host.settle()
        assert rows_in(files_below(server.bucket_folder / "x")) == stored.rows()
        host.kill()
