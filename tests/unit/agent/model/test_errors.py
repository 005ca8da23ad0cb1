"""Failures speak in sentences; exit codes have names."""

import pytest

from agent.model.errors import (
    BusyError,
    ConfigError,
    EvergaugeError,
    ExitCode,
    FormatError,
    KernelFormatError,
    MisuseError,
    PermissionRefused,
    ProtocolError,
    StorageError,
    UnavailableError,
    ends_restarts,
    exit_code_name,
)


@pytest.mark.parametrize(
    ("where", "problem", "remedy", "sentence"),
    [
        ("/etc/x", "is not there", "make it", "/etc/x: is not there; make it"),
        ("/etc/x", "is not there", "", "/etc/x: is not there"),
        ("", "nothing works", "", "nothing works"),
    ],
)
def test_a_failure_is_one_sentence(where: str, problem: str, remedy: str, sentence: str) -> None:
    """What is not given leaves no punctuation behind."""
    failure = EvergaugeError(where, problem, remedy)
    assert (str(failure), failure.sentence) == (sentence, sentence)
    assert (failure.where, failure.problem, failure.remedy) == (where, problem, remedy)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (EvergaugeError, 1),
        (ConfigError, 78),
        (MisuseError, 64),
        (BusyError, 75),
        (UnavailableError, 69),
        (StorageError, 74),
        (PermissionRefused, 77),
        (FormatError, 65),
        (KernelFormatError, 65),
        (ProtocolError, 65),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(kind: type[EvergaugeError], code: int) -> None:
    """The numbers are those of sysexits.h and never change."""
    assert kind("", "x").code == code


def test_only_a_bad_configuration_is_final() -> None:
    """Everything else may go better the next time."""
    assert [status for status in range(-64, 256) if ends_restarts(status)] == [ExitCode.CONFIG]


def test_exit_codes_are_shown_by_name() -> None:
    """A number without a name is shown as a number."""
    assert [exit_code_name(code) for code in (0, 70, 75, 78, 3, -9)] == ["done", "bug", "try_again", "config", "code 3", "code -9"]


def test_a_sentence_shows_a_foreign_path_on_one_line_of_utf8() -> None:
    """A path may have any bytes; what is said of it goes to logs, messages and terminals."""
    failure = StorageError("/a\udcff\x1b[2J\n", "cannot be read")
    assert failure.sentence == r"/a\xff\x1b[2J\n: cannot be read" == str(failure)
