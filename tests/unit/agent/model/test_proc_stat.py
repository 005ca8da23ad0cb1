"""One line of `/proc/PID/stat`: as kernels write it, as processes name themselves, and damaged."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import KernelFormatError
from agent.model.proc_stat import NUMBER_MAX, STAT_BYTES_MAX, Stat, parse_comm, parse_stat, stat_fields

# Captured from processes of a 6.18 kernel that gave themselves these names with prctl(PR_SET_NAME).
FOLDER = Path(__file__).parents[3] / "fixtures" / "proc"
NAMES = {
    "stat-sd-pam": "(sd-pam)",
    "stat-parentheses": "a) b (c",
    "stat-forged-fields": ") R 1 1 1 (",
    "stat-newline": r"two\nlines",
    "stat-not-utf8": r"caf\xe9 \xff",
    "stat-empty-name": "",
    "stat-space": " ",
    "stat-kernel-thread": "ksoftirqd/0",
    "stat-threads": "python",
    "stat-zombie": "(sd-pam)",
}
STATS = {
    "stat-sd-pam": Stat("S", 31235, 2, 1, 334878, 1905),
    "stat-parentheses": Stat("S", 31235, 1, 1, 334891, 1905),
    "stat-forged-fields": Stat("S", 31235, 1, 1, 334902, 1905),
    "stat-newline": Stat("S", 31235, 1, 1, 334914, 1905),
    "stat-not-utf8": Stat("S", 31235, 1, 1, 334925, 1905),
    "stat-empty-name": Stat("S", 31235, 1, 1, 334937, 1905),
    "stat-space": Stat("S", 31235, 1, 1, 334948, 1905),
    "stat-kernel-thread": Stat("S", 2, 10, 1, 24, 0, is_kernel_thread=True),
    "stat-threads": Stat("R", 31184, 1, 4, 334877, 2491),
    "stat-zombie": Stat("Z", 31235, 2, 1, 334878, 0),
}
each_capture = pytest.mark.parametrize("capture", sorted(NAMES))


def _line(capture: str) -> bytes:
    return (FOLDER / f"{capture}.txt").read_bytes()


def _is_read_or_refused(line: bytes) -> None:
    """A line is read, or refused in words; nothing else comes out."""
    parse_comm(line)
    with suppress(KernelFormatError):
        assert isinstance(parse_stat(line), Stat)


@each_capture
def test_a_captured_line_is_read_whatever_the_process_calls_itself(capture: str) -> None:
    """Spaces, parentheses, a line break and bytes that are no text stand in the name, and the fields are right."""
    assert NAMES[capture] == parse_comm(_line(capture))
    assert STATS[capture][:7] == parse_stat(_line(capture))[:7]


def test_every_capture_has_its_expected_value() -> None:
    """A file added to the folder is not forgotten here."""
    assert {path.stem for path in FOLDER.glob("stat-*.txt")} == set(NAMES) == set(STATS)


@each_capture
def test_every_prefix_of_a_line_is_read_or_refused(capture: str) -> None:
    """A read that was cut short ends nothing."""
    line = _line(capture)
    for length in range(len(line)):
        _is_read_or_refused(line[:length])


@each_capture
def test_a_line_cut_before_its_last_used_field_is_refused(capture: str) -> None:
    """Up to the resident set nothing may be missing."""
    line = _line(capture)
    fields_end = line.rindex(b")") + 2
    rss_begins = fields_end + len(b" ".join(line[fields_end:].split(b" ")[:21])) + 1
    for length in range(rss_begins + 1):
        with pytest.raises(KernelFormatError, match="/proc/PID/stat"):
            parse_stat(line[:length])


@each_capture
def test_every_altered_byte_is_read_or_refused(capture: str) -> None:
    """Each byte replaced by what could change the meaning of its place."""
    line = bytearray(_line(capture))
    for place, original in enumerate(line):
        for value in b'\x00 \n()-+._09aZ"\x80\xff':
            line[place] = value
            _is_read_or_refused(bytes(line))
        line[place] = original


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    """Noise is refused in words."""
    _is_read_or_refused(line)


@given(
    st.binary(max_size=64),
    st.sampled_from("RSDZTtXxKWPI"),
    st.lists(st.integers(min_value=0, max_value=NUMBER_MAX // 2), min_size=49, max_size=49),
)
def test_a_line_is_read_as_it_was_written(name: bytes, state: str, numbers: list[int]) -> None:
    """Any name and any numbers that a column holds; the line stays below the bound of a read."""
    line = b"%d (%b) %b %b\n" % (1 << 22, name, state.encode(), b" ".join(b"%d" % number for number in numbers))
    field = {place: numbers[place - 4] for place in range(4, 53)}
    stat = parse_stat(line)
    is_kernel_thread = bool(field[9] & 0x0020_0000)
    assert stat == Stat(
        state, field[4], field[14] + field[15], field[20], field[22], field[24], is_kernel_thread,
        field[15], field[16] + field[17], field[10], field[12],
    )  # fmt: skip
    assert len(line) <= STAT_BYTES_MAX


def test_the_refusal_shows_the_beginning_of_the_line() -> None:
    """Enough to see what it was, not the whole of it."""
    with pytest.raises(KernelFormatError) as refused:
        parse_stat(b"7 (name) S " + b"x" * 500)
    assert "b'7 (name) S xxx" in refused.value.sentence
    assert len(refused.value.sentence) < 200


def _line_of(**fields: int) -> bytes:
    """A line of a process with one or more numbers by their place in proc_pid_stat(5)."""
    numbers = [fields.get(f"n{place}", 1) for place in range(4, 53)]
    return b"1 (a) S " + b" ".join(b"%d" % number for number in numbers) + b"\n"


BEYOND = [-1, 1 << 63, (1 << 64) - 1, 10**30]


@pytest.mark.parametrize("number", BEYOND)
@pytest.mark.parametrize(
    ("place", "name"),
    [("n4", "ppid"), ("n14", "cpu_ticks"), ("n20", "threads"), ("n24", "rss_pages"),
     ("n10", "minor_faults"), ("n12", "major_faults"), ("n16", "reaped_ticks")],
)  # fmt: skip
def test_a_number_that_no_column_holds_is_absent_and_the_others_are_there(place: str, name: str, number: int) -> None:
    """A row beyond 64 bits would end the sampler when it is encoded; a zero would be a lie."""
    stat = parse_stat(_line_of(**{place: number}))
    assert getattr(stat, name) is None
    assert [each for each in stat._fields if getattr(stat, each) is None] == [name]


@pytest.mark.parametrize(("written", "start"), [((1 << 64) - 100, -100), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63))])
def test_a_start_before_the_boot_is_negative(written: int, start: int) -> None:
    """So a time namespace shows processes that are older than itself: the kernel writes the number as unsigned."""
    assert parse_stat(_line_of(n22=written)).start_ticks == start


@pytest.mark.parametrize("written", [-1, 1 << 64])
def test_a_start_that_is_none_makes_no_process(written: int) -> None:
    """Without it a process has no identity."""
    with pytest.raises(KernelFormatError):
        parse_stat(_line_of(n22=written))


@pytest.mark.parametrize(
    ("state", "threads", "is_ended", "is_first_thread_ended"),
    [("S", 2, False, False), ("Z", 1, True, False), ("X", 1, True, False), ("Z", 2, False, True)],
)
def test_the_end_of_the_first_thread_is_not_the_end_of_the_process(
    state: str, threads: int, is_ended: bool, is_first_thread_ended: bool
) -> None:
    """Others may go on for as long as they like."""
    stat = Stat(state, 1, 0, threads, 5, 0)
    assert (stat.is_ended, stat.is_first_thread_ended) == (is_ended, is_first_thread_ended)


def test_fields_begin_behind_the_last_parenthesis() -> None:
    """The state is the first, whatever the name holds; without a name there are none."""
    assert stat_fields(b"7 (a) b) S 1 2\n") == [b"S", b"1", b"2\n"]
    assert stat_fields(b"7 (a) S 1 2 3\n", 2) == [b"S", b"1", b"2 3\n"]
    assert stat_fields(b"S 1 2") == []
