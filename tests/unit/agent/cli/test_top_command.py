"""The name of a program stands before its path and arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_command import command_of, program_name


@pytest.mark.parametrize(
    ("comm", "line", "told"),
    [
        ("postgres", "/usr/lib/postgresql/15/bin/postgres -D /data", "postgres  /usr/lib/postgresql/15/bin/postgres -D /data"),
        ("sshd", "/usr/sbin/sshd -D", "sshd  /usr/sbin/sshd -D"),
        (
            "a-name-of-15-by",
            "/opt/a-name-of-15-bytes-more x",
            "a-name-of-15-bytes-more  /opt/a-name-of-15-bytes-more x",
        ),
        # What begins with its name already is not named twice.
        ("postgres", "postgres: writer", "postgres: writer"),
        ("nginx", "nginx: worker process", "nginx: worker process"),
        ("sleep", "sleep 5", "sleep 5"),
        ("bash", "-bash", "-bash"),
        # A name that a process or thread gave itself.
        ("eg:writer", ".venv/bin/python -c import", "eg:writer  .venv/bin/python -c import"),
        # Scripts and modules behind their interpreter.
        ("agentctl", "/usr/bin/python3 /usr/bin/agentctl top", "agentctl  /usr/bin/python3 /usr/bin/agentctl top"),
        ("python3", "/usr/bin/python3 -W ignore /srv/app.py --port 1", "app.py  /usr/bin/python3 -W ignore /srv/app.py --port 1"),
        ("python3.11", "python3.11 -m http.server", "http.server  python3.11 -m http.server"),
        ("java", "java -Xmx128m -jar /opt/cart.jar", "cart.jar  java -Xmx128m -jar /opt/cart.jar"),
        ("sh", "sh /opt/x/run.sh", "run.sh  sh /opt/x/run.sh"),
        ("node", "node -e 1 x.js", "node -e 1 x.js"),
        ("bash", "bash -c sleep 5", "bash -c sleep 5"),
        ("bash", "bash /dev/fd/3", "bash /dev/fd/3"),
        ("python3", "python3 -m", "python3 -m"),
        # Its command line was not read.
        ("nginx", None, "nginx"),
        (None, "/bin/x", "x  /bin/x"),
        (None, None, "?"),
        ("python3", "", "python3"),
    ],
)
def test_the_name_comes_first(comm: str | None, line: str | None, told: str) -> None:
    """Programs by their own name, scripts by the script's, processes that named themselves by that."""
    assert command_of(comm, line) == told


def test_kernel_threads_alone_are_in_brackets() -> None:
    """A program that ended while it was read is none."""
    assert command_of("kswapd0", None, is_kernel_thread=True) == "[kswapd0]"
    assert command_of(None, None, is_kernel_thread=True) == "[?]"


def test_a_name_is_known_without_a_command_line() -> None:
    """A kernel thread is called as the kernel calls it; nothing known is a question mark."""
    assert [program_name("kswapd0", None), program_name(None, None), program_name(None, "/bin/x y")] == ["kswapd0", "?", "x"]


@given(st.none() | st.text(max_size=15), st.none() | st.text(max_size=200))
def test_any_line_has_a_command_that_holds_it_whole(comm: str | None, line: str | None) -> None:
    """Whatever a process writes over its arguments is shown."""
    assert (line or "").rstrip() in command_of(comm, line)
