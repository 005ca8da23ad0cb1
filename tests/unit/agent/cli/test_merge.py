"""The words of `agentctl merge`; tests with a real broker run it."""

import io

import pytest

from agent.cli.call import Call
from agent.cli.merge import COMMANDS, merge_config, status_line
from agent.cli.option import parse_line
from agent.cli.output import Output
from agent.model.errors import ConfigError, MisuseError
from workers.merger.report import MergerReport

(COMMAND,) = COMMANDS


def call(*words: str, **environment: str) -> Call:
    """A call with these options."""
    line = parse_line(["merge", *words], lambda _: COMMAND)
    return Call(COMMAND, line, environment, Output(io.StringIO(), "out"), Output(io.StringIO(), "err"))


def test_options_come_before_the_environment() -> None:
    """And other settings by --set."""
    words = ("--brokers", "k:1", "--set", "merger.user=u", "--set", "merger.password_file=/p=q", "--interval", "1s")
    config = merge_config(call(*words, EVERGAUGE_LAKE_URL="file:///l", EVERGAUGE_MERGER_BROKERS="x:1", EVERGAUGE_OTHER="?"))
    values = config.values
    assert (values["merger.brokers"], values["lake.url"], values["merger.interval"]) == ("k:1", "file:///l", 10**9)
    assert (values["merger.user"], values["merger.password_file"]) == ("u", "/p=q")


@pytest.mark.parametrize("words", [("--set", "merger.nothing=1"), ("--set", "merger.user")])
def test_what_is_no_setting_is_refused(words: tuple[str, ...]) -> None:
    """With those that are."""
    with pytest.raises(MisuseError, match=r"merger\.user"):
        merge_config(call("--brokers", "k", "--lake", "file:///l", *words))


@pytest.mark.parametrize(("words", "missing"), [((), "--brokers"), (("--brokers", "k"), "--lake")])
def test_what_is_missing_is_named(words: tuple[str, ...], missing: str) -> None:
    """With the setting that could say it."""
    with pytest.raises(ConfigError, match=missing):
        merge_config(call(*words))


def test_a_line_of_numbers_says_what_matters() -> None:
    """Trouble only where there is some."""
    stats = dict(MergerReport().stats())
    assert status_line(stats) == "0 rows in 0 commits, 0 partitions, 0 offsets behind"
    stats |= {"rows": 1, "commits": 1, "partitions": 2, "lag": 3, "unreadable": 4, "refused": 5, "offsets_lost": 6}
    assert status_line(stats) == (
        "1 row in 1 commit, 2 partitions, 3 offsets behind, 4 unreadable messages, 5 commits refused, 6 offsets lost"
    )
