"""The kind of sink `file` in an exporter, when its folder cannot be used: rows wait, and each is there once afterwards."""

import json
from pathlib import Path

import pytest
from fakes.real_sink_host import HostSpool, RealSinkHost, stamp_of
from fakes.small_disk import fill, mounted

from agent.setting import MIB

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def spool(tmp_path: Path) -> HostSpool:
    """An open segment without rows."""
    (tmp_path / "state").mkdir()
    return HostSpool(tmp_path / "state")


def times_in(folder: Path) -> list[int]:
    """The numbers of the batches whose number of cores is in a line."""
    text = "".join(path.read_text() for path in sorted(folder.glob("*.jsonl")))
    points = [
        int(point["timeUnixNano"])
        for line in text.splitlines()
        for resource in json.loads(line).get("resourceMetrics", ())
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
        if metric["name"] == "system.cpu.logical.count"
        for point in metric["sum"]["dataPoints"]
    ]
    return [(at - stamp_of(0)) // (stamp_of(1) - stamp_of(0)) for at in points]


@pytest.mark.runbook("Sink of kind file")
def test_a_full_disk(spool: HostSpool, tmp_path: Path) -> None:
    """It is down as long as there is no room."""
    with mounted(tmp_path / "disk", "256k") as disk:
        host = RealSinkHost(spool.state, "file", path=str(disk / "out"), rotate_bytes=MIB)
        spool.append(2)
        host.wait_settled(2)
        filler = disk / "filler"
        fill(filler)
        # More than what is left of the last page.
        spool.append(40)
        host.wait_state("down")
        assert "is full" in host.problem
        assert "make room there" in host.problem
        assert host.ledger["pending"] > 0
        filler.unlink()
        host.wait_settled(42)
        assert times_in(disk / "out") == list(range(1, 43))
        host.kill()


def test_a_file_in_place_of_the_folder(spool: HostSpool, tmp_path: Path) -> None:
    """A person has to act, and need not tell the agent."""
    out = tmp_path / "out"
    out.write_text("")
    host = RealSinkHost(spool.state, "file", path=str(out))
    spool.append(2)
    host.wait_state("paused")
    assert "is no folder" in host.problem
    out.unlink()
    host.wait_settled(2)
    assert times_in(out) == [1, 2]
    host.kill()


@pytest.mark.runbook("Sink of kind file")
def test_a_folder_that_was_removed(spool: HostSpool, tmp_path: Path) -> None:
    """It is made again, and its loss is told; where the one above is missing too, a person has to act."""
    out = tmp_path / "above" / "out"
    out.parent.mkdir()
    host = RealSinkHost(spool.state, "file", path=str(out))
    spool.append(2)
    host.wait_settled(2)
    (only,) = out.iterdir()
    only.unlink()
    out.rmdir()
    spool.append(1)
    host.wait_settled(3)
    assert "file_changed" in [note.kind for note in host.bus.notes]
    assert times_in(out) == [3]
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    out.parent.rmdir()
    spool.append(1)
    host.wait_state("paused")
    assert "cannot be written" in host.problem
    out.parent.mkdir()
    host.wait_settled(4)
    assert times_in(out) == [4]
    host.kill()


def test_another_path_gets_what_the_spool_has(spool: HostSpool, tmp_path: Path) -> None:
    """It is another sink under the same name: what the former folder has is not taken for delivered there."""
    host = RealSinkHost(spool.state, "file", path=str(tmp_path / "first"))
    spool.append(2)
    host.wait_settled(2)
    host.values = {"path": str(tmp_path / "second")}
    host.start()
    spool.append(1)
    host.wait_settled(3)
    assert times_in(tmp_path / "second") == [1, 2, 3]
    assert times_in(tmp_path / "first") == [1, 2]
    host.kill()


def test_a_damaged_record_of_what_was_delivered(spool: HostSpool, tmp_path: Path) -> None:
    """The sink does not begin, says which file it is, and begins once it is removed."""
    host = RealSinkHost(spool.state, "file", path=str(tmp_path / "out"))
    spool.append(2)
    host.wait_settled(2)
    record = spool.state / "sinks" / "central" / "delivered.json"
    record.write_bytes(record.read_bytes()[:10])
    host.start()
    spool.append(1)
    host.run_until(lambda: "sink_storage" in [each.kind for each in host.bus.conditions], "the condition")
    assert "delivered.json" in host.bus.conditions[0].detail
    record.unlink()
    host.run_until(lambda: host.stats["state"] == "up" and host.is_settled, "the row")
    assert 3 in times_in(tmp_path / "out")
    host.run_until(lambda: not host.bus.conditions[-1].active, "the end of the condition")
    host.kill()
