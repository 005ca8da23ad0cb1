"""What the options of `agentctl run` order, and what they refuse."""

import io

import pytest

from agent.cli.call import Call
from agent.cli.option import check_words, parse_line
from agent.cli.output import Output
from agent.cli.program import find_command
from agent.cli.workload_order import order_of
from agent.model.errors import MisuseError
from agent.model.workload_text import parse_io


def ordered(*words: str, **variables: str) -> dict[str, object] | None:
    """The order of `agentctl run` with these words."""
    line = parse_line(("run", *words), find_command)
    command = find_command("run")
    check_words(line, command)
    output = Output(io.StringIO(), "output")
    return order_of(Call(command, line, variables, output, output))


def test_a_name_and_a_program_are_enough() -> None:
    """Whatever is not given is left to the agent's defaults; options behind the program are the program's own."""
    assert ordered("job", "--", "sleep", "--cpu", "1") == {"name": "job", "argv": ["sleep", "--cpu", "1"], "limits": {}}


def test_every_option_is_in_the_order() -> None:
    """In the units of the kernel and of the agent: bytes, cores, nanoseconds."""
    options = (
        "--cpu", "200%", "--cpu-weight", "50", "--memory", "4G", "--memory-high", "3G", "--pids", "100", "--io", "/dev/sda:wbps=1M",
        "--gpu", "0,1", "--gpu", "2", "--restart", "on-failure", "--env", "PORT=80=x", "--env", "TOKEN",
        "--label", "model=org/name", "--folder", "/srv", "--user", "www",
        "--grace", "1m", "--output", "1M", "--no-oom-group", "--without-limits",
    )  # fmt: skip
    order = ordered("job", *options, "--", "serve", TOKEN="secret")
    assert order is not None
    limits = order.pop("limits")
    assert isinstance(limits, dict)
    assert limits == {
        "cpu_cores": 2.0, "cpu_weight": 50, "memory_bytes": 4 << 30, "memory_high_bytes": 3 << 30, "pids": 100,
        "io": [parse_io("/dev/sda:wbps=1M")],
    }  # fmt: skip
    assert order == {
        "name": "job", "argv": ["serve"], "folder": "/srv", "user": "www", "restart": "on-failure", "grace_ns": 60 * 10**9,
        "output_bytes_max": 1 << 20, "gpus": ["0", "1", "2"], "env": {"PORT": "80=x", "TOKEN": "secret"},
        "labels": {"model": "org/name"}, "without_limits": True, "is_killed_whole": False,
    }  # fmt: skip


def test_a_name_alone_runs_again_what_was_described() -> None:
    """Then an option would change nothing, and is refused."""
    assert ordered("job") is None
    with pytest.raises(MisuseError, match="--memory is of no use without a command"):
        ordered("job", "--memory", "1G")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--cpu", "fast"), ("--cpu-weight", "-1"), ("--memory", "4X"), ("--memory-high", ""), ("--pids", "1.5"),
        ("--io", "/dev/sda"), ("--io", "/dev/sda:speed=1"), ("--grace", "soon"), ("--output", "much"), ("--label", "model"),
        ("--label", "=x"), ("--env", "=x"), ("--env", "NOT_EXPORTED"), ("--restart", "sometimes"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused_with_what_is(option: str, text: str) -> None:
    """The sentence names the option and what to write."""
    with pytest.raises(MisuseError) as refused:
        ordered("job", f"{option}={text}", "--", "true")
    assert option in refused.value.sentence
    assert "; " in refused.value.sentence
