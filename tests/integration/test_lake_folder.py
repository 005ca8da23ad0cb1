"""A folder as a lake's bucket: as strict as object storage, and nobody's fool. The same is asked of a real object server."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes.other_user import OTHER_UID
from harness.sinks.object_server import ObjectServer

from agent.lake.bucket import Bucket, BucketFailure, FileGone, PutOutcome
from agent.lake.folder_bucket import FolderBucket
from agent.lake.obstore_bucket import ObstoreBucket
from agent.model.timebase import DAY, S
from agent.object.access import ObjectAccess
from agent.object.place import ObjectPlace, PlaceOptions, Provider


def access_of(server: ObjectServer, prefix: str = "fleet/lake", **options: str) -> ObjectAccess:
    """How the server's bucket is reached."""
    variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    variables |= {key: value for key, value in options.items() if key.startswith("AWS_")}
    os.environ.update(variables)
    place = ObjectPlace(Provider.S3, server.bucket, prefix)
    return ObjectAccess(place, PlaceOptions(server.endpoint, server.region, allow_http=True), 20 * S, 5 * S, variables)


@pytest.fixture(params=["folder", "object-server"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """One of each kind."""
    if request.param == "folder":
        yield FolderBucket(str(tmp_path))
        return
    with ExitStack() as stack:
        server = stack.enter_context(ObjectServer(tmp_path))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        yield ObstoreBucket(access_of(server))


def names(bucket: Bucket, prefix: str = "", after: str = "") -> list[str]:
    """Of everything that is listed."""
    return [head.name for page in bucket.pages(prefix, after) for head in page]


def test_a_bucket_keeps_its_word(bucket: Bucket, tmp_path: Path) -> None:
    """What is put is there once and for all; what is exchanged is so by its tag; what is listed is there."""
    assert bucket.get("a/b.json", 10) is None
    assert bucket.put_new("a/b.json", b"one") is PutOutcome.STORED
    assert bucket.put_new("a/b.json", b"one") is PutOutcome.SAME
    assert bucket.put_new("a/b.json", b"two") is PutOutcome.OTHER
    assert bucket.put_new("a/b.json", b"three") is PutOutcome.OTHER
    assert bucket.get("a/b.json", 10) == b"one"
    with pytest.raises(BucketFailure, match="longer than 2"):
        bucket.get("a/b.json", 2)

    large = tmp_path / "large"
    large.write_bytes(os.urandom(3 << 20))
    assert bucket.put_file("a/large.parquet", str(large)) is PutOutcome.STORED
    assert bucket.put_file("a/large.parquet", str(large)) is PutOutcome.SAME
    bucket.fetch("a/large.parquet", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    with bucket.open("a/large.parquet") as file:
        file.seek(-4, os.SEEK_END)
        assert bytes(file.read()) == large.read_bytes()[-4:]
    large.write_bytes(b"")
    assert bucket.put_file("a/empty", str(large)) is PutOutcome.STORED
    for missing in (lambda: bucket.open("a/none"), lambda: bucket.fetch("a/none", str(tmp_path / "none"))):
        with pytest.raises(FileGone):
            missing()

    head = bucket.head("a/b.json")
    assert head is not None
    assert (head.name, head.bytes) == ("a/b.json", 3)
    assert abs(head.changed_ns - time.time_ns()) < 60 * S
    assert bucket.head("a/none") is None

    assert bucket.exchange("a/lease", b"1", None)
    assert not bucket.exchange("a/lease", b"2", None)
    tagged = bucket.read_tagged("a/lease", 10)
    assert tagged is not None
    assert bucket.exchange("a/lease", b"2", tagged.tag)
    assert not bucket.exchange("a/lease", b"3", tagged.tag)
    assert not bucket.exchange("a/gone", b"3", tagged.tag)
    bucket.replace("a/hint", b"1")
    bucket.replace("a/hint", b"2")
    assert bucket.get("a/hint", 10) == b"2"
    assert bucket.read_tagged("a/none", 10) is None


def test_a_bucket_lists_what_is_there(bucket: Bucket) -> None:
    """In the order of names within a folder, from any of them on; and folders by themselves."""
    for number in range(25):
        bucket.put_new(f"_log/{number:03d}.json", b"x")
    bucket.put_new("t/date=2024-01-31/host=a/x", b"x")
    bucket.put_new("t2/x", b"x")
    assert names(bucket, "_log/") == [f"_log/{number:03d}.json" for number in range(25)]
    assert names(bucket, "_log/", "_log/020.json") == [f"_log/{number:03d}.json" for number in range(21, 25)]
    assert names(bucket, "t/") == ["t/date=2024-01-31/host=a/x"]
    assert names(bucket, "none/") == []
    assert len(names(bucket)) == 27
    assert list(bucket.folders("")) == ["_log", "t", "t2"]
    assert list(bucket.folders("t/")) == ["date=2024-01-31"]
    assert list(bucket.folders("none/")) == []
    for name in ("t2/x", "t2/x", "none/x"):
        bucket.delete(name)
    assert names(bucket, "t2/") == []
    assert bucket.sweep(0) >= 0


# ---- what others may have put into a folder ----


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Neither a file nor a folder on the way."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_bytes(b"secret")
    lake = tmp_path / "lake"
    (lake / "a").mkdir(parents=True)
    (lake / "a" / "x").symlink_to(tmp_path / "secret" / "x")
    (lake / "b").symlink_to(tmp_path / "secret")
    bucket = FolderBucket(str(lake))
    for read in (lambda: bucket.get("a/x", 10), lambda: bucket.open("a/x"), lambda: bucket.head("a/x")):
        with pytest.raises(BucketFailure, match="symbolic link"):
            read()
    assert bucket.put_new("a/x", b"secret") is PutOutcome.OTHER
    assert bucket.get("b/x", 10) is None
    with pytest.raises(BucketFailure):
        bucket.put_new("b/y", b"mine")
    assert sorted(path.name for path in (tmp_path / "secret").iterdir()) == ["x"]
    assert names(bucket) == []


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A pipe, a socket, a folder in the place of a file; and names that are no names of ours."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    (tmp_path / "folder").mkdir()
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "ü").write_bytes(b"x")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"x")
    bucket = FolderBucket(str(tmp_path))
    for name, kind in (("pipe", "a named pipe"), ("socket", "a socket"), ("folder", "a folder")):
        with pytest.raises(BucketFailure, match=kind):
            bucket.get(name, 10)
    assert names(bucket) == []


def test_files_of_other_users_are_refused(tmp_path: Path) -> None:
    """They may say anything."""
    (tmp_path / "x").write_bytes(b"x")
    os.chown(tmp_path / "x", OTHER_UID, OTHER_UID)
    bucket = FolderBucket(str(tmp_path))
    with pytest.raises(BucketFailure, match=f"belongs to user {OTHER_UID}"):
        bucket.get("x", 10)
    assert bucket.put_new("x", b"x") is PutOutcome.OTHER


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It may be a mount that is missing now."""
    bucket = FolderBucket(str(tmp_path / "none"))
    calls: list[Callable[[], object]] = [
        lambda: bucket.put_new("a/x", b"x"),
        lambda: bucket.get("a/x", 10),
        lambda: names(bucket),
        lambda: bucket.folders(""),
        lambda: bucket.replace("a/x", b"x"),
        lambda: bucket.exchange("a/x", b"x", None),
    ]
    for call in calls:
        with pytest.raises(BucketFailure, match="mount it") as failure:
            call()
        assert not failure.value.is_passing
    assert not (tmp_path / "none").exists()


def test_what_killed_writers_left_is_swept_a_day_later(tmp_path: Path) -> None:
    """And so are empty folders of days and hosts; nothing else."""
    old_ns = time.time_ns() - 2 * DAY
    empty = tmp_path / "t" / "date=2024-01-31" / "host=a"
    empty.mkdir(parents=True)
    keep = tmp_path / "t" / "date=2024-01-31" / "host=b"
    keep.mkdir()
    for name in (".x.1-ab.new", "x.new", ".x"):
        (keep / name).write_bytes(b"x")
        os.utime(keep / name, ns=(old_ns, old_ns))
    (keep / ".young.1-ab.new").write_bytes(b"x")
    for folder in (empty, keep, empty.parent):
        os.utime(folder, ns=(old_ns, old_ns))
    bucket = FolderBucket(str(tmp_path))
    assert bucket.sweep(1 * DAY) == 1
    assert not empty.exists()
    assert sorted(path.name for path in keep.iterdir()) == [".x", ".young.1-ab.new", "x.new"]
