"""A sample is made of rows by column name: the tick's own, and the host's nearest."""

from typing import Any

from fakes.stored_data import PROCESS_TAIL

from agent.cli.top_sample import HostRows, Named, elapsed_of, sample_of

S = 10**9
AT = 100 * S


def process(**values: Any) -> Named:
    return {"timestamp": AT, "pid": 3, "comm": "x", **values}


def scan(**values: Any) -> Named:
    return {"timestamp": AT, "processes": 9, "elapsed_ns": 2 * S, **values}


def test_columns_of_an_older_table_may_be_missing() -> None:
    """A column that is not there, or is of another type, is absent; so is all that only newer tables have."""
    tail: Named = {**dict.fromkeys(PROCESS_TAIL.names), "timestamp": AT}
    sample = sample_of(AT, "h", {"process": [process(rss_bytes="?")], "process_tail": [tail]})
    assert (sample.processes[0].rss_bytes, sample.processes[0].uid, sample.tail[0].processes) == (None, None, 0)
    assert (sample.scan, sample.ended, sample.machine) == (None, (), HostRows())


def test_rows_of_other_ticks_are_left_out() -> None:
    """A row group of a sealed file has many ticks."""
    sample = sample_of(AT, "h", {"process": [process(), process(timestamp=AT - S)], "process_tail": [{"timestamp": AT + S}]})
    assert (len(sample.processes), sample.tail) == (1, ())


def test_what_came_since_the_tick_before_is_a_rate() -> None:
    """By the time that the scan says has passed."""
    values = {"read_bytes": 10, "write_bytes": 20, "tcp_sent_bytes": 30, "cpu_user_ns": S, "major_faults": 4}
    sample = sample_of(AT, "h", {"process": [process(**values)], "process_scan": [scan(cpu_dead_ns=S, write_bytes=40)]})
    shown = sample.processes[0]
    assert (shown.read_bytes_per_second, shown.write_bytes_per_second, shown.sent_bytes_per_second) == (5, 10, 15)
    assert (shown.user_share, shown.system_share, shown.major_faults_per_second) == (0.5, None, 2)
    assert sample.scan is not None
    assert (sample.scan.cpu_dead_share, sample.scan.write_bytes_per_second, sample.scan.processes) == (0.5, 20, 9)


def test_without_a_scan_the_time_is_that_of_a_share() -> None:
    """CPU time over its share is the time between the ticks; with neither there is no rate."""
    rows = [process(read_bytes=10), process(pid=4, cpu_ns=S, cpu_share=0.5, read_bytes=10)]
    assert [each.read_bytes_per_second for each in sample_of(AT, "h", {"process": rows}).processes] == [5, 5]
    assert sample_of(AT, "h", {"process": rows[:1]}).processes[0].read_bytes_per_second is None


def test_a_start_is_a_time_where_the_boot_is_known() -> None:
    """Ticks since boot, by the host's row."""
    host: Named = {"timestamp": AT, "boot_timestamp": 7 * S, "ticks_per_second": 100}
    rows = {"process": [process(start_ticks=250)]}
    assert sample_of(AT, "h", {**rows, "host": [host]}).processes[0].started_wall_ns == 9 * S + S // 2
    assert sample_of(AT, "h", rows).processes[0].started_wall_ns is None


def test_the_hosts_devices_are_those_of_its_nearest_tick() -> None:
    """A slow host sampler is near by its own interval; a tick that is farther away is none."""
    rows: dict[str, list[Named]] = {
        "process": [process()],
        "host": [{"timestamp": AT - 6 * S, "elapsed_ns": 5 * S}, {"timestamp": AT - 11 * S, "elapsed_ns": 5 * S}],
        "host_disk": [{"timestamp": AT - 6 * S, "device": "sda"}, {"timestamp": AT - 11 * S, "device": "sdb"}],
        "host_network": [],
    }
    machine = sample_of(AT, "h", rows).machine
    assert [disk["device"] for disk in machine.disks] == ["sda"]
    assert sample_of(AT, "h", {**rows, "host": rows["host"][1:], "host_disk": []}).machine == HostRows()


def test_what_ended_has_its_command_and_number() -> None:
    """A single process with its signal, and a sum."""
    exits: list[Named] = [
        {"timestamp": AT, "command": "hog", "deaths": 1, "pid": 7, "signal": 9, "cpu_share": 0.5},
        {"timestamp": AT, "command": None, "deaths": 800, "unseen": 790},
    ]
    ended = sample_of(AT, "h", {"process": [process()], "process_exit": exits}).ended
    assert [(each.command, each.deaths, each.pid, each.signal) for each in ended] == [("hog", 1, 7, 9), ("?", 800, None, None)]


def test_the_time_between_two_samples_is_the_scan_s_or_the_usual_one() -> None:
    """A scan may not know it either."""
    for rows, elapsed in (({"process_scan": [scan()]}, 2 * S), ({"process_scan": [scan(elapsed_ns=None)]}, S), ({}, S)):
        assert elapsed_of(sample_of(AT, "h", {"process": [process()], **rows})) == elapsed


def test_a_row_of_the_host_without_a_time_is_of_no_moment() -> None:
    """It is passed over, and the others are found by theirs."""
    machines: list[Named] = [{"cores": 8}, {"timestamp": AT, "cores": 4}]
    sample = sample_of(AT, "h", {"process": [process()], "host": machines})
    assert sample.machine == sample_of(AT, "h", {"process": [process()], "host": machines[1:]}).machine
    assert sample.machine != HostRows()
