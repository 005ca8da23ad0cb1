"""agentd's command line: what is understood, what is refused, what the help shows."""

import pytest

from agent.command import Invocation, parse_invocation, settings_document, usage
from agent.config import SETTINGS, parse_config
from agent.model.errors import ExitCode, MisuseError
from agent.model.timebase import MS, S
from agent.setting import Text


def _parse(*arguments: str) -> Invocation:
    return parse_invocation(arguments, SETTINGS)


def test_no_argument_asks_for_nothing() -> None:
    """The agent runs until it is told to end, with the settings it finds."""
    assert _parse() == Invocation()


def test_every_setting_is_a_flag() -> None:
    """With its value as the next word or behind an equals sign."""
    for setting in SETTINGS:
        assert _parse(setting.flag, "a b").flags == {setting.key: "a b"}
        assert _parse(f"{setting.flag}=a=b").flags == {setting.key: "a=b"}


def test_the_last_of_two_equal_flags_wins() -> None:
    """So that a script can append to somebody's arguments."""
    assert _parse("--gateway-port", "1", "--gateway-port=2").flags == {"gateway.port": "2"}


def test_a_value_may_look_like_a_flag() -> None:
    """What follows a flag is its value, whatever it is; its setting judges it."""
    assert _parse("--host-name", "--help").flags == {"host_name": "--help"}


def test_a_value_may_be_empty() -> None:
    """`--gateway-address=` says: nowhere."""
    assert _parse("--gateway-address=").flags == {"gateway.address": ""}
    assert _parse("--gateway-address", "").flags == {"gateway.address": ""}


@pytest.mark.parametrize(("word", "expected"), [("--help", Invocation(help=True)), ("-h", Invocation(help=True)),
    ("--version", Invocation(version=True)), ("--check-config", Invocation(check_config=True))])  # fmt: skip
def test_the_words_without_a_value(word: str, expected: Invocation) -> None:
    """They take none, and what follows is looked at by itself."""
    assert _parse(word) == expected
    assert _parse(word, "--gateway-port", "1").flags == {"gateway.port": "1"}


def test_a_file_and_a_duration() -> None:
    """--config names the file, --for the time."""
    assert _parse("--config", "/x.toml", "--for", "1.5s") == Invocation(config_path="/x.toml", for_ns=1500 * MS)
    assert _parse("--config=/x.toml", "--for=2s") == Invocation(config_path="/x.toml", for_ns=2 * S)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--no-such"], "--no-such: agentd knows no such argument; `agentd --help` lists them"),
        (["start"], "start: agentd knows no such argument"),
        ([""], "agentd knows no such argument"),
        (["--help=yes"], "--help: agentd knows no such argument"),
        (["--gateway-port"], "--gateway-port: its value is missing"),
        (["--config"], "--config: its value is missing"),
        (["--for", "soon"], "--for: 'soon' is not a duration such as 250ms, 1s or 15m; write --for 10s"),
        (["--for="], "--for: '' is not a duration"),
        (["--connect"], "--connect: it is a part of checking the configuration; write --check-config --connect"),
    ],
)
def test_what_cannot_be_understood_is_named(arguments: list[str], sentence: str) -> None:
    """One sentence with the argument and the remedy, and the exit code of misuse."""
    with pytest.raises(MisuseError) as refused:
        _parse(*arguments)
    assert sentence in refused.value.sentence
    assert refused.value.code is ExitCode.MISUSE


def test_the_help_shows_every_setting_once_with_default_range_and_variable() -> None:
    """What is there to set is read in one place."""
    text = usage(SETTINGS)
    for setting in SETTINGS:
        assert text.count(f"\n  {setting.flag}\n") == 1
        assert setting.about in text
        assert setting.accepted in text
        assert setting.environment_name in text
    assert "a duration from 50ms to 10s, such as 250ms, 1s or 15m; default 250ms; EVERGAUGE_SUPERVISOR_HEARTBEAT_INTERVAL" in text


def test_an_empty_default_is_called_empty() -> None:
    """Not a blank that looks like a mistake of the help."""
    assert "default empty; EVERGAUGE_STATE_DIR" in usage(SETTINGS)


def test_the_help_is_enough_to_write_a_file_from() -> None:
    """Its sections, keys and values are a settings file that changes nothing."""
    lines = [line.strip() for line in usage(SETTINGS).splitlines()]
    sections = {each.section for each in SETTINGS} - {""}
    names = {each.name for each in SETTINGS}
    kept = [line for line in lines if line.strip("[]") in sections or line.partition(" = ")[0] in names]
    assert {line for line in kept if line.startswith("[")} == {f"[{section}]" for section in sections}
    found = parse_config(SETTINGS, document="\n".join(kept), origin="help")
    assert found.values == {each.key: each.default for each in SETTINGS}


@pytest.mark.parametrize(
    "document",
    [
        "",
        'host_name = "a \\"b\\" \\\\ c é"\n[gateway]\nport = 0\naddress = ""\n[resctrl]\nauto_mount = true\n',
        '[supervisor]\nhang_timeout = "3s"\n[worker."sampler/process"]\nhang_timeout = "7s"\n'
        "backoff_factor = 3\n[worker.writer]\nbackoff_factor = 4\n",
        '[writer]\nseal_bytes = 70001\nstorage_quota = "3GiB"\nseal_interval = "90s"\n',
    ],
)
def test_what_check_config_prints_gives_the_same_configuration(document: str) -> None:
    """Fed back as a file, value by value."""
    workers = ("sampler/process", "writer")
    config = parse_config(SETTINGS, document=document, origin="f", workers=workers)
    again = parse_config(SETTINGS, document=settings_document(config, SETTINGS, workers), origin="g", workers=workers)
    assert again.values == {each.key: each.default for each in SETTINGS} | config.values


def test_workloads_and_sinks_are_printed_with_the_settings() -> None:
    """Each section as a file has it; of a sink what nobody said too."""
    kinds = {"file": (Text("folder", "/tmp", "where"),)}
    document = '[workload.train]\ncommand = ["sleep", "1"]\n[sink.lake]\nkind = "file"\nfolder = "/data"\n'
    config = parse_config(SETTINGS, document=document, origin="f", sink_kinds=lambda: kinds)
    shown = settings_document(config, SETTINGS, (), kinds)
    again = parse_config(SETTINGS, document=shown, origin="g", sink_kinds=lambda: kinds)
    assert again.workloads == config.workloads
    assert again.sinks["lake"].items() >= config.sinks["lake"].items()
    assert (list(again.workloads), config.sinks) == (["train"], {"lake": {"kind": "file", "folder": "/data"}})


def test_a_check_may_connect_to_what_the_settings_name() -> None:
    """The two words may stand in any order."""
    assert _parse("--connect", "--check-config") == _parse("--check-config", "--connect")
    assert _parse("--check-config", "--connect").connect
