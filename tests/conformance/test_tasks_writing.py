"""How a write to `tasks` is read: one id or several, as the kernel reads numbers, and what it says to what is none."""

import os
from collections.abc import Iterator
from errno import E2BIG, EINVAL, ESRCH
from pathlib import Path

import pytest
from conformance.companion import Companion, companion
from conformance.mounted import PAGE_BYTES, Mounted, opened, refused


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Companion, Companion]]:
    """Two processes for all cases of this file: a case leaves them in the group that it removes."""
    with companion() as one, companion() as other:
        yield one, other


@pytest.fixture
def group(resctrl: Mounted) -> str:
    return resctrl.new_group()


def absent_id() -> int:
    """A number that no thread has: the largest that the kernel gives is one less."""
    return int(Path("/proc/sys/kernel/pid_max").read_text())


@pytest.mark.parametrize(
    "form",
    [
        "{0}\n",
        "{0}",
        " {0} \n",
        "\t{0}\t",
        "{0}\x00{1}",
        "{0}\n\n\n",
        "+{0}\n",
        "0x{0:x}\n",
        "0X{0:X}\n",
        "0{0:o}\n",
        "000{0:o}\n",
        "{0},\n",
        "{0},",
        "{0},\x00{1}",
        "{0},\n{1}",
        "{0},{0},{0}\n",
    ],
)
def test_one_id_in_many_forms(resctrl: Mounted, group: str, pair: tuple[Companion, Companion], form: str) -> None:
    """White space, a sign, hexadecimal, octal, what ends a list and what stands behind the end: it is the first process."""
    one, other = pair
    resctrl.write(form.format(one.pid, other.pid), group, "tasks")
    assert resctrl.tasks(group) == [one.pid]
    assert resctrl.status() == "ok\n"


@pytest.mark.parametrize(
    "form", ["{0},{1}\n", "{0},{1}", "{0}, {1}\n", "{0} ,\t{1} ,\n", "0x{0:x},0{1:o}\n", "{1},{0}\n", "{0}\n,{1}"]
)
def test_several_ids_in_one_write(resctrl: Mounted, group: str, pair: tuple[Companion, Companion], form: str) -> None:
    """Commas part them, white space around them means nothing."""
    one, other = pair
    resctrl.write(form.format(one.pid, other.pid), group, "tasks")
    assert sorted(resctrl.tasks(group)) == sorted([one.pid, other.pid])


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("abc\n", "abc"),
        ("12abc\n", "12abc"),
        ("1 2\n", "1 2"),
        ("1.0\n", "1.0"),
        ("1e3\n", "1e3"),
        ("1_0\n", "1_0"),
        ("0x\n", "0x"),
        ("0xg\n", "0xg"),
        ("08\n", "08"),
        ("0o7\n", "0o7"),
        ("0b1\n", "0b1"),
        ("--1\n", "--1"),
        ("+-1\n", "+-1"),
        ("-\n", "-"),
        ("2147483648\n", "2147483648"),
        ("-2147483649\n", "-2147483649"),
        ("99999999999999999999\n", "99999999999999999999"),
        ("١\n", "١"),
        (" \n", ""),
        (",\n", ""),
        ("1;2\n", "1;2"),
        ("*\n", "*"),
    ],
)
def test_what_is_no_number_is_refused(resctrl: Mounted, group: str, written: str, named: str) -> None:
    """EINVAL, and the status repeats what it could not read."""
    with refused(EINVAL):
        resctrl.write(written, group, "tasks")
    assert resctrl.status() == f"Task list parsing error pid {named}\n"
    assert resctrl.tasks(group) == []


@pytest.mark.parametrize("number", [-1, -5, -2147483648])
def test_less_than_nothing_is_no_id(resctrl: Mounted, group: str, number: int) -> None:
    """EINVAL, and the status tells the number."""
    with refused(EINVAL):
        resctrl.write(f"{number}\n", group, "tasks")
    assert resctrl.status() == f"Invalid pid {number}\n"


@pytest.mark.parametrize("number", [None, 2147483647])
def test_an_id_that_nobody_has_is_not_found(resctrl: Mounted, group: str, number: int | None) -> None:
    """ESRCH, with two lines in the status: what was not found and what was being done."""
    number = number or absent_id()
    with refused(ESRCH):
        resctrl.write(f"{number}\n", group, "tasks")
    assert resctrl.status() == f"No task {number}\nError while processing task {number}\n"


def test_a_process_that_has_ended_is_not_found(resctrl: Mounted, group: str) -> None:
    """ESRCH as soon as nobody waits for it any more."""
    with companion() as ended:
        number = ended.pid
    with refused(ESRCH):
        resctrl.assign(number, group)


@pytest.mark.parametrize("written", ["\n", "\x00", "\n{0}\n", "\x00{0}"])
def test_nothing_is_a_command_that_does_nothing(
    resctrl: Mounted, group: str, pair: tuple[Companion, Companion], written: str
) -> None:
    """What begins with the end is a success; it clears the status and moves nobody."""
    resctrl.soil_status()
    resctrl.write(written.format(pair[0].pid), group, "tasks")
    assert resctrl.status() == "ok\n"
    assert resctrl.tasks(group) == []


@pytest.mark.parametrize("form", ["{0}\n{1}\n", "{0}\r{1}\n", "{0} {1}\n", "{0}\n\n{1}"])
def test_lines_do_not_part_ids(resctrl: Mounted, group: str, pair: tuple[Companion, Companion], form: str) -> None:
    """EINVAL for two ids without a comma between them, and neither is moved."""
    one, other = pair
    with refused(EINVAL):
        resctrl.write(form.format(one.pid, other.pid), group, "tasks")
    assert resctrl.status().startswith(f"Task list parsing error pid {one.pid}")
    assert resctrl.tasks(group) == []


def test_an_empty_element_ends_the_work_where_it_stands(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """The id before it is moved, the one behind it is not, and the errno takes the place of the count of bytes."""
    one, other = pair
    with refused(EINVAL):
        resctrl.write(f"{one.pid},,{other.pid}\n", group, "tasks")
    assert resctrl.tasks(group) == [one.pid]
    assert resctrl.status() == "Task list parsing error pid \n"


def test_a_list_that_begins_with_a_comma_moves_nobody(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """The empty element is the first one."""
    with refused(EINVAL):
        resctrl.write(f",{pair[0].pid}\n", group, "tasks")
    assert resctrl.tasks(group) == []


def test_the_first_failure_ends_a_list(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """Who came before it stays moved; the status names it and nobody else."""
    one, other = pair
    absent = absent_id()
    with refused(ESRCH):
        resctrl.write(f"{one.pid},{absent},{other.pid}\n", group, "tasks")
    assert resctrl.tasks(group) == [one.pid]
    assert resctrl.status() == f"No task {absent}\nError while processing task {absent}\n"


def test_an_id_with_the_wrong_sign_ends_a_list(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """As every other failure does."""
    one, other = pair
    with refused(EINVAL):
        resctrl.write(f"{one.pid},-{other.pid},{other.pid}\n", group, "tasks")
    assert resctrl.tasks(group) == [one.pid]


def test_a_page_is_the_longest_write(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """4096 bytes are read to their end."""
    one, other = pair
    tail = f",{other.pid}\n"
    resctrl.write(f"{one.pid}".ljust(PAGE_BYTES - len(tail)) + tail, group, "tasks")
    assert sorted(resctrl.tasks(group)) == sorted([one.pid, other.pid])


@pytest.mark.parametrize("length", [PAGE_BYTES + 1, 3 * PAGE_BYTES, 1 << 20])
def test_more_than_a_page_is_refused_whole(resctrl: Mounted, group: str, pair: tuple[Companion, Companion], length: int) -> None:
    """E2BIG before anybody looks at it: nobody is moved and the status stays."""
    said = resctrl.soil_status()
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks, refused(E2BIG):
        os.write(tasks, f"{pair[0].pid}\n".ljust(length).encode())
    assert resctrl.tasks(group) == []
    assert resctrl.status() == said


def test_the_longest_list_of_ids_is_carried_out(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """As many as fit a page, each of them moved there and back."""
    one, other = pair
    each = f"{one.pid},{other.pid},"
    resctrl.write(each * (PAGE_BYTES // len(each)), group, "tasks")
    assert sorted(resctrl.tasks(group)) == sorted([one.pid, other.pid])


def test_a_long_complaint_is_cut(resctrl: Mounted, group: str) -> None:
    """The status holds 511 bytes, and reading it is no error."""
    with refused(EINVAL):
        resctrl.write("x" * 4000, group, "tasks")
    assert resctrl.status() == ("Task list parsing error pid " + "x" * 4000)[:511]


def test_ids_may_be_written_again(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """Who is in the group already is no failure and stands there once."""
    for _ in range(3):
        resctrl.assign(pair[0].pid, group)
    assert resctrl.tasks(group) == [pair[0].pid]


@pytest.mark.parametrize("written", ["0\n", "-0\n", "+0\n", "0x0\n", "00"])
def test_0_is_the_writing_thread(resctrl: Mounted, group: str, pair: tuple[Companion, Companion], written: str) -> None:
    """However the number is spelled."""
    one, _ = pair
    assert one.write(resctrl.path(group, "tasks"), written) == "ok"
    assert resctrl.tasks(group) == [one.pid]


def test_0_is_one_thread_of_a_process(resctrl: Mounted, group: str) -> None:
    """The thread that writes, and not its process."""
    with companion() as process:
        writer, _ = process.thread(), process.thread()
        assert process.write(resctrl.path(group, "tasks"), "0", by=writer) == "ok"
        assert resctrl.tasks(group) == [writer]


def test_0_stands_in_a_list(resctrl: Mounted, group: str, pair: tuple[Companion, Companion]) -> None:
    """Beside ids of others."""
    one, other = pair
    assert one.write(resctrl.path(group, "tasks"), f"{other.pid},0") == "ok"
    assert sorted(resctrl.tasks(group)) == sorted([one.pid, other.pid])
