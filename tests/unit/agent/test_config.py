"""Settings: what is accepted, who wins, what a refusal says."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import (
    BACKOFF_FACTOR,
    GATEWAY_ADDRESS,
    GATEWAY_PORT,
    HANG_TIMEOUT,
    LOG_LEVEL,
    SEAL_BYTES,
    SEAL_INTERVAL,
    SETTINGS,
    START_TIMEOUT,
    STORAGE_QUOTA,
    Config,
    default_quota_bytes,
    exporter_name,
    parse_config,
    reader_gid,
    service_variables,
)
from agent.model.errors import ConfigError
from agent.model.timebase import DAY, MINUTE, S
from agent.setting import (
    AUTO_BYTES,
    AnySetting,
    AutoSwitch,
    Duration,
    Setting,
    Share,
    Size,
    SocketPath,
    Switch,
    Text,
    Whole,
)

SWITCH = Switch("sampler.switch", True, "an example")
AUTO = AutoSwitch("sampler.auto", "auto", "an example")
ALIASED = Whole("sampler.aliased", 1, 0, 9, "an example").known_as("SECOND_NAME")
EVERY = (*SETTINGS, SWITCH, AUTO)
by_key = pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.key)


@by_key
def test_every_default_is_accepted_as_it_is_shown(setting: AnySetting) -> None:
    """What `agentd --help` shows can be written back."""
    assert setting.parse(setting.show(setting.default)) == setting.default  # type: ignore[arg-type]  # its own default


@by_key
def test_every_setting_says_what_it_is_and_what_it_takes(setting: AnySetting) -> None:
    """Help and refusals are made of these."""
    assert setting.about
    assert setting.accepted
    assert setting.environment_name.startswith("EVERGAUGE_")
    assert setting.flag.startswith("--")


def test_no_two_settings_share_a_name() -> None:
    """Neither in the file, nor in the environment, nor as flags."""
    for names in ([s.key for s in EVERY], [s.environment_name for s in EVERY], [s.flag for s in EVERY]):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if isinstance(s, Whole)], ids=lambda setting: setting.key)
def test_both_ends_of_a_range_are_accepted_and_nothing_beyond(setting: Whole) -> None:
    """The range that `accepted` names is the one that holds."""
    assert setting.parse(setting.show(setting.least)) == setting.least
    assert setting.parse(setting.show(setting.most)) == setting.most
    for beyond in (setting.least - 1, setting.most + 1):
        if beyond >= 0:
            with pytest.raises(ValueError, match="out of range"):
                setting.parse(setting.show(beyond))


@given(st.integers(min_value=0, max_value=2**60))
def test_every_number_is_read_as_it_was_shown(number: int) -> None:
    """Durations and sizes are written exactly, whatever unit they get."""
    for kind in (Whole, Duration, Size):
        setting = kind("a.b", 1, 0, 2**60, "an example")
        assert setting.parse(setting.show(number)) == number


@pytest.mark.parametrize("written", ["0.95", 0.95])
def test_a_share_is_kept_in_thousandths_and_written_as_a_fraction(written: object) -> None:
    """In the file it is a number, in a variable a text; words and numbers beyond its range are refused."""
    share = Share("a.b", 900, 0, 1000, "an example")
    assert share.parse(written) == 950
    assert (share.show(950), share.toml(950), share.accepted) == ("0.95", "0.95", "a share from 0 to 1")
    for refused in (True, None, "much", "nan", "inf", "1.01", -0.1):
        with pytest.raises(ValueError, match=r"out of range|not a number"):
            share.parse(refused)


def test_the_later_of_file_environment_and_flag_wins() -> None:
    """One step at a time, over the default."""
    document = '[gateway]\nport = 1\naddress = "::1"\n'
    environment = {"EVERGAUGE_GATEWAY_PORT": "2", "HOME": "/root"}

    def port(**sources: object) -> int:
        return parse_config(SETTINGS, **sources).of(GATEWAY_PORT)  # type: ignore[arg-type]  # by name

    assert port() == 9464
    assert port(document=document, origin="f") == 1
    assert port(document=document, origin="f", environment=environment) == 2
    assert port(document=document, origin="f", environment=environment, flags={"gateway.port": "3"}) == 3
    assert parse_config(SETTINGS, document=document, environment=environment).of(GATEWAY_ADDRESS) == "::1"


def test_a_file_may_write_keys_flat_or_nested() -> None:
    """`gateway.port = 1` and `[gateway] port = 1` are one setting."""
    assert parse_config(SETTINGS, document="gateway.port = 1") == parse_config(SETTINGS, document="[gateway]\nport = 1")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("[gateway]\nprot = 1", "evergauge.toml: gateway.prot: there is no such setting; did you mean gateway.port?"),
        ("zzz = 1", "evergauge.toml: zzz: there is no such setting; `agentd --help` lists them all"),
        ("gateway = 5", "evergauge.toml: gateway: there is no such setting"),
        (
            "gateway.port = 65536",
            "evergauge.toml: gateway.port: 65536 is not accepted (out of range); write a whole number from 0 to 65535",
        ),
        ("gateway.port = true", "evergauge.toml: gateway.port: True is not accepted (not a whole number)"),
        ("gateway.port = 1.5", "evergauge.toml: gateway.port: 1.5 is not accepted (not a whole number)"),
        ("gateway.port = [1]", "evergauge.toml: gateway.port: [1] is not accepted (not a whole number)"),
        ("writer.seal_interval = 15", "evergauge.toml: writer.seal_interval: 15 is not accepted (a duration needs its unit)"),
        ('writer.seal_bytes = "16MB"', "evergauge.toml: writer.seal_bytes: '16MB' is not accepted"),
        (
            'log.level = "loud"',
            "evergauge.toml: log.level: 'loud' is not accepted (not one of the words); write one of debug, info, warning, error",
        ),
        ('host_name = "a\\nb"', "evergauge.toml: host_name: 'a\\nb' is not accepted (too long, or with control characters)"),
        ("gateway.port =", "evergauge.toml: not TOML: "),
        ("a = " + "[" * 5000, "evergauge.toml: not TOML: "),
        ("a = " + "1" * 5000, "evergauge.toml: not TOML: "),
    ],
)
def test_a_bad_file_is_refused_with_its_name_the_key_the_value_and_the_remedy(document: str, sentence: str) -> None:
    """Anyone who reads the sentence knows what to change, and where."""
    with pytest.raises(ConfigError) as refused:
        parse_config(SETTINGS, document=document, origin="evergauge.toml")
    assert refused.value.sentence.startswith(sentence)


def test_a_bad_variable_is_refused_by_its_name() -> None:
    """Value and name; other programs' variables are not looked at."""
    with pytest.raises(ConfigError, match=r"environment variable EVERGAUGE_GATEWAY_PORT: 'x' is not accepted"):
        parse_config(SETTINGS, environment={"EVERGAUGE_GATEWAY_PORT": "x"})
    with pytest.raises(
        ConfigError, match=r"EVERGAUGE_GATEWAY_PROT: there is no such setting; did you mean EVERGAUGE_GATEWAY_PORT\?"
    ):
        parse_config(SETTINGS, environment={"EVERGAUGE_GATEWAY_PROT": "1"})
    assert parse_config(SETTINGS, environment={"GATEWAY_PORT": "x"}) == Config({})


def test_a_bad_flag_is_refused_by_its_name() -> None:
    """As it was typed."""
    with pytest.raises(ConfigError, match=r"^--writer-seal-interval: 'often' is not accepted .*; write a duration from 1s to 1d"):
        parse_config(SETTINGS, flags={"writer.seal_interval": "often"})


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (SEAL_INTERVAL, "90s", 90 * S),
        (SEAL_INTERVAL, "1.5m", 90 * S),
        (SEAL_INTERVAL, "1d", DAY),
        (SEAL_BYTES, "65536", 65536),
        (SEAL_BYTES, "65536B", 65536),
        (SEAL_BYTES, "64KiB", 65536),
        (SEAL_BYTES, "1MiB", 1 << 20),
        (LOG_LEVEL, "debug", "debug"),
        (SWITCH, "false", False),
        (GATEWAY_ADDRESS, "", ""),
    ],
)
def test_values_are_written_with_their_units(setting: Setting[int], text: str, value: object) -> None:
    """Durations and sizes; an empty text is a value too."""
    config = parse_config(EVERY, flags={setting.key: text})
    assert config.of(setting) == value


@pytest.mark.parametrize("text", ["1.5MiB", "MiB", "-1MiB", "1 TiB", "true", "0x10000"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Sizes are whole numbers of bytes."""
    with pytest.raises(ValueError):
        SEAL_BYTES.parse(text)


@given(st.text() | st.just("\udcff"))
def test_a_text_setting_takes_printable_text_only(text: str) -> None:
    """Control characters and broken bytes of the environment never reach a path or a log line."""
    setting = Text("a.b", "", "an example")
    try:
        assert setting.parse(text) == text
        assert text == "" or text.isprintable()
    except ValueError:
        assert not text.isprintable() or len(text.encode()) > 4096


@pytest.mark.parametrize("text", ["run/nri.sock", "nri.sock", " /run/nri.sock", "/" + "a" * 4096, "/run/\x00", "@abstract"])
def test_what_cannot_be_a_socket_is_refused_before_the_start(text: str) -> None:
    """A relative path would mean another place in each working folder."""
    for default in ("", "/run/nri.sock"):
        setting = SocketPath("a.b", default, "an example")
        assert setting.parse(default) == default
        with pytest.raises(ValueError):
            setting.parse(text)
    with pytest.raises(ValueError):
        SocketPath("a.b", "/run/nri.sock", "an example").parse("")


@given(st.text(max_size=60))
def test_any_document_is_a_configuration_or_refused(document: str) -> None:
    """Nothing but ConfigError comes out."""
    with suppress(ConfigError):
        assert isinstance(parse_config(SETTINGS, document=document, origin="f"), Config)


def test_what_nobody_set_has_its_default() -> None:
    """A configuration holds only what was said."""
    config = parse_config(SETTINGS)
    assert config.values == {}
    assert config.of(SEAL_INTERVAL) == 15 * MINUTE


OWN = '[worker."sampler/process"]\nhang_timeout = "7s"\nbackoff_factor = 3\n'


def test_one_worker_can_have_times_of_its_own() -> None:
    """What its table says holds for it alone; everything else is as for all."""
    config = parse_config(
        SETTINGS, document=OWN, origin="f", flags={"supervisor.hang_timeout": "2s"}, workers=("sampler/process", "writer")
    )
    assert config.of_worker(HANG_TIMEOUT, "sampler/process") == 7 * S
    assert config.of_worker(HANG_TIMEOUT, "writer") == 2 * S
    assert config.of_worker(BACKOFF_FACTOR, "sampler/process") == 3
    assert config.of_worker(START_TIMEOUT, "sampler/process") == 10 * S


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ('[worker."sampler/process"]\nhang_timeot = "7s"\n', "did you mean worker.sampler/process.hang_timeout"),
        ('[worker."sampler/proces"]\nhang_timeout = "7s"\n', "did you mean worker.sampler/process.hang_timeout"),
        ('[worker."sampler/process"]\nhang_timeout = "7"\n', "write a duration from 200ms"),
        ('[worker."sampler/process"]\nheartbeat_interval = "1s"\n', "there is no such setting"),
        ("worker = 3\n", "there is no such setting"),
    ],
)
def test_a_mistake_in_a_workers_table_is_named(document: str, sentence: str) -> None:
    """An unknown worker, an unknown key, a bad value, and what holds for all or for nobody."""
    with pytest.raises(ConfigError, match=sentence):
        parse_config(SETTINGS, document=document, origin="f", workers=("sampler/process",))


def test_a_workers_times_are_for_the_file_alone() -> None:
    """No environment variable could name a worker with a slash in its name."""
    with pytest.raises(ConfigError, match="there is no such setting"):
        parse_config(SETTINGS, environment={"EVERGAUGE_WORKER_WRITER_HANG_TIMEOUT": "1s"}, workers=("writer",))


def test_failpoints_are_no_setting_and_no_mistake() -> None:
    """Their variable is read elsewhere, by tests alone."""
    assert parse_config(SETTINGS, environment={"EVERGAUGE_FAILPOINTS": "/tmp/x"}).values == {}


@pytest.mark.parametrize(("written", "value"), [(True, "true"), (False, "false"), ("auto", "auto"), ("true", "true")])
def test_a_switch_that_may_choose_itself_takes_three_words(written: object, value: str) -> None:
    """In a file the words true and false may stand as TOML's own."""
    assert AUTO.parse(written) == value


def test_a_switch_that_may_choose_itself_takes_nothing_else() -> None:
    """Neither numbers nor other words."""
    for wrong in ("yes", 1, "", None):
        with pytest.raises(ValueError, match="neither"):
            AUTO.parse(wrong)


def test_a_setting_may_have_a_second_name_in_the_environment() -> None:
    """Its own name wins over the second, whatever their order; a bad value is told by the name that was used."""
    assert parse_config([ALIASED], environment={"SECOND_NAME": "3"}).of(ALIASED) == 3
    assert parse_config([ALIASED], environment={"SECOND_NAME": "3", ALIASED.environment_name: "4"}).of(ALIASED) == 4
    with pytest.raises(ConfigError, match="environment variable SECOND_NAME: '30'"):
        parse_config([ALIASED], environment={"SECOND_NAME": "30"})


@pytest.mark.parametrize(("setting", "text"), [(ALIASED, "abc"), (SEAL_BYTES, "manyMiB"), (SEAL_BYTES, "much")])
def test_a_number_that_is_none_is_refused_in_plain_words(setting: AnySetting, text: str) -> None:
    """What the language's own parser says helps nobody who writes a configuration."""
    with pytest.raises(ConfigError, match="not a whole number"):
        parse_config([setting], environment={setting.environment_name: text})


def test_the_storage_quota_is_decided_by_the_file_system_unless_it_is_said() -> None:
    """A tenth in whole MiB, 10 GiB at most, 1 MiB at least; a file system that tells no size gets the most."""
    assert parse_config(SETTINGS).of(STORAGE_QUOTA) == AUTO_BYTES
    assert parse_config(SETTINGS).show(STORAGE_QUOTA) == "auto"
    written = {'"auto"': AUTO_BYTES, "0": 0, '"1MiB"': 1 << 20}
    for text, value in written.items():
        assert parse_config(SETTINGS, document=f"writer.storage_quota = {text}").of(STORAGE_QUOTA) == value
    sizes = [default_quota_bytes(size) for size in (0, 5 << 20, 999 << 20, 100 << 30, 1 << 50)]
    assert sizes == [10 << 30, 1 << 20, 99 << 20, 10 << 30, 10 << 30]


def test_a_configuration_is_changed_by_making_another() -> None:
    """Other values, or those that were before; what nobody had said before has its default again or stays as it was said."""
    before = parse_config(SETTINGS, flags={GATEWAY_PORT.key: "1", LOG_LEVEL.key: "debug"})
    after = before.with_values({GATEWAY_PORT.key: 2, BACKOFF_FACTOR.key: 3})
    assert (before.of(GATEWAY_PORT), after.of(GATEWAY_PORT), after.of(BACKOFF_FACTOR)) == (1, 2, 3)
    kept = after.with_kept(before, [GATEWAY_PORT.key, BACKOFF_FACTOR.key])
    assert kept.values == before.values
    assert after.with_kept(before, []) == after


def test_any_setting_is_read_without_its_type() -> None:
    """As it was said, or its default."""
    config = Config({GATEWAY_PORT.key: 7})
    assert [config.of_any(setting) for setting in (GATEWAY_PORT, LOG_LEVEL)] == [7, LOG_LEVEL.default]


@pytest.mark.parametrize(("values", "gid"), [({}, None), ({"reader_group": ""}, None), ({"reader_group": "1001"}, 1001)])
def test_the_reader_group_is_a_number_once_it_was_resolved(values: dict[str, int | str | bool], gid: int | None) -> None:
    """Without one there is none, which is not the group 0."""
    assert reader_gid(Config(values)) == gid


def test_sections_of_workloads_and_sinks_are_theirs_and_no_settings() -> None:
    """A process that sinks share is a worker that the file may set times for."""
    kinds = {"file": (Text("folder", "/tmp", "where"),)}
    document = (
        '[workload.train]\ncommand = ["sleep", "1"]\n[sink.lake]\nkind = "file"\nprocess = "both"\n'
        '[worker."exporter/both"]\nhang_timeout = "7s"\n'
    )
    config = parse_config(SETTINGS, document=document, origin="f", sink_kinds=lambda: kinds)
    assert (list(config.workloads), list(config.sinks), exporter_name("both")) == (["train"], ["lake"], "exporter/both")
    assert config.of_worker(HANG_TIMEOUT, exporter_name("both")) == 7 * S
    with pytest.raises(ConfigError, match="there is no kind 'file'"):
        parse_config(SETTINGS, document=document, origin="f")


def test_what_kubernetes_puts_into_the_environment_is_ignored_and_told() -> None:
    """It makes such variables of every service's name, an agent's own included."""
    environment = {"EVERGAUGE_PORT": "tcp://10.0.0.1:80", "EVERGAUGE_GATEWAY_PORT": "7", "HOME": "/"}
    assert parse_config(SETTINGS, environment=environment).values == {GATEWAY_PORT.key: 7}
    assert service_variables(environment) == ["EVERGAUGE_PORT"]
