"""A disk or an interface at its limit is named with who uses it."""

from fakes.calm_host import MIB, disk_row, host_row, network_row, process, sample

from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_device import (
    blocked,
    disk_heavy,
    disk_saturated,
    io_wait,
    network_errors,
    network_full,
    network_heavy,
    retransmits,
)
from agent.cli.problem_evidence import Rule, evidence_of
from agent.cli.top_sample import Sample

WAITS = host_row(pressure_io_some_ns=800_000_000, memory_dirty_bytes=900 * MIB)
BUSY = [disk_row(), disk_row(device="vdb", utilisation=0.99, queue=12.0, write_bytes=210 * MIB)]
WRITER = process(9, "dd", write_bytes_per_second=200.0 * MIB)


def only(rule: Rule, of: Sample) -> HostProblem:
    """The one problem that a rule finds."""
    (problem,) = rule(evidence_of(of))
    return problem


def none(rule: Rule, of: Sample) -> bool:
    return not list(rule(evidence_of(of)))


def test_a_disk_at_its_limit_names_who_writes() -> None:
    """And the disk itself."""
    problem = only(disk_saturated, sample(WRITER, host=WAITS, disks=BUSY))
    assert problem.text == "Disk vdb 99% busy: dd (pid 9) writes 200.0 MiB/s; queue 12.0"
    assert [(culprit.kind, culprit.name) for culprit in problem.culprits] == [("process", "dd"), ("device", "vdb")]
    assert problem.severity is Severity.WARNING


def test_a_disk_at_its_limit_names_who_reads() -> None:
    """The heavier of the two."""
    reader = process(9, "grep", read_bytes_per_second=150.0 * MIB)
    assert "grep (pid 9) reads 150.0 MiB/s" in only(disk_saturated, sample(reader, host=WAITS, disks=BUSY)).text


def test_what_was_written_before_has_no_writer_now() -> None:
    """Pages are written out long after the process that changed them."""
    problem = only(disk_saturated, sample(host=WAITS, disks=[disk_row(utilisation=1.0, queue=None, write_bytes=210 * MIB)]))
    assert (
        problem.text == "Disk vda 100% busy: no process reads or writes much now, earlier writes reach the disk (900.0 MiB to go)"
    )
    assert [culprit.name for culprit in problem.culprits] == ["vda"]


def test_a_busy_disk_for_which_nothing_waits_is_no_problem() -> None:
    """A fast device that always has one request has room for more; where the kernel tells no pressure the device decides."""
    assert none(disk_saturated, sample(WRITER, disks=BUSY))
    assert none(disk_saturated, sample(WRITER, host=WAITS, disks=[]))
    assert none(disk_saturated, sample(WRITER, host=WAITS))
    assert only(disk_saturated, sample(WRITER, host=host_row(pressure_io_some_ns=None), disks=BUSY)).culprits[0].pid == 9


def test_a_process_that_writes_a_lot_is_told_before_a_disk_is_full() -> None:
    """The usual writes of a database are not."""
    assert only(disk_heavy, sample(WRITER)).text == "dd (pid 9) writes 200.0 MiB/s of files"
    waited_for = only(disk_heavy, sample(WRITER, host=WAITS))
    assert waited_for.text == "dd (pid 9) writes 200.0 MiB/s of files; something waits for storage 80% of the time"
    assert waited_for.severity is Severity.WARNING
    assert none(disk_heavy, sample())
    assert none(disk_heavy, Sample(1, "h", (), ()))


def test_idle_cores_that_wait_for_storage_are_told() -> None:
    """As where the storage is no disk of the host."""
    waiting = host_row(cpu_idle_ns=1_000_000_000, cpu_iowait_ns=2_000_000_000)
    problem = only(io_wait, sample(host=waiting, disks=[]))
    assert problem.text == "50% of the CPU is idle because it waits for storage; postgres (pid 310) writes 2.5 MiB/s"
    assert only(io_wait, Sample(1, "h", (), (), machine=sample(host=waiting).machine)).culprits == ()
    assert none(io_wait, sample())


def test_many_threads_in_state_d_are_told_with_those_that_have_a_row() -> None:
    """Three names are enough."""
    waiting = [process(pid, "nfsd", state="D") for pid in range(20, 26)]
    problem = only(blocked, sample(*waiting, host=host_row(blocked=6)))
    assert problem.text.endswith("(state D), among them nfsd (pid 20), nfsd (pid 21), nfsd (pid 22)")
    assert only(blocked, sample(host=host_row(blocked=6))).culprits == ()
    assert none(blocked, sample(host=host_row(blocked=2)))
    assert none(blocked, sample(host={}))


def test_an_interface_near_its_speed_names_who_sends() -> None:
    """The process for TCP; else it is told that none is known."""
    full = [network_row(sent_bytes=110 * MIB, utilisation=0.92)]
    sender = process(9, "rsync", sent_bytes_per_second=104.0 * MIB)
    problem = only(network_full, sample(sender, networks=full))
    assert problem.text == "Interface eth0 at 92% of its speed sends 110.0 MiB/s: rsync (pid 9) 104.0 MiB/s"
    assert [culprit.name for culprit in problem.culprits] == ["rsync", "eth0"]
    unknown = only(network_full, sample(networks=full))
    assert unknown.text.endswith("sends 110.0 MiB/s: no process with a row does so over TCP")
    assert [culprit.name for culprit in unknown.culprits] == ["eth0"]
    assert none(network_full, sample())


def test_a_lot_of_bytes_through_an_interface_is_told_in_the_larger_direction() -> None:
    """Also where its speed is not known; the loopback is no network."""
    lots = network_row(received_bytes=90 * MIB, utilisation=None, speed_bits_per_second=None)
    receiver = process(9, "curl", received_bytes_per_second=88.0 * MIB)
    assert only(network_heavy, sample(receiver, networks=[lots])).text == (
        "Interface eth0 receives 90.0 MiB/s: curl (pid 9) 88.0 MiB/s"
    )
    assert none(network_heavy, sample(networks=[lots | {"interface": "lo"}]))
    assert none(network_heavy, sample())


def test_errors_and_drops_are_told_from_a_rate_on() -> None:
    """A multicast packet that nobody wants is dropped now and then on any network."""
    problem = only(network_errors, sample(networks=[network_row(received_errors=7, sent_drops=40)]))
    assert problem.text == "Interface eth0: 7 errors and 41 dropped packets a second"
    assert none(network_errors, sample())
    assert none(network_errors, sample(networks=[network_row(received_drops=11, received_packets=800_000)]))


def test_many_segments_that_are_sent_again_are_told() -> None:
    """Measured against all packets."""
    assert only(retransmits, sample(host=host_row(tcp_retransmits=400))).culprits == ()
    assert none(retransmits, sample(host=host_row(tcp_retransmits=15)))
    assert none(retransmits, sample(host=host_row(tcp_retransmits=60)))
    assert none(retransmits, sample(host={}))
