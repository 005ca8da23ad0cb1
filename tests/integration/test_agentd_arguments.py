"""What agentd makes of its arguments and settings before it starts anything."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from harness.agent_process import run_agentd


def test_what_check_config_prints_is_a_settings_file(tmp_path: Path) -> None:
    """Written to a file, with the byte-order mark of some editors, it gives the very same; the verdict is a comment in it."""
    file = tmp_path / "a.toml"
    file.write_bytes('\ufeffstate_dir = "x y"\n[worker.writer]\nhang_timeout = "3s"\n'.encode())
    first = run_agentd("--check-config", "--config", str(file), "--gateway-port", "7")
    assert first.returncode == 0, first.stderr
    document = tomllib.loads(first.stdout)
    assert document["gateway"]["port"] == 7
    assert document["worker"]["writer"] == {"hang_timeout": "3s"}
    assert first.stdout.endswith("\n# the configuration is good\n")
    file.write_text(first.stdout)
    assert run_agentd("--check-config", "--config", str(file)).stdout == first.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--no-such-flag", "1"], 64, "agentd knows no such argument"),
        (["--for"], 64, "its value is missing"),
        (["--for", "soon"], 64, "is not a duration"),
        (["--gateway-port", "70000"], 78, "--gateway-port: '70000' is not accepted (out of range)"),
        (["--config", "/nonexistent.toml"], 78, "cannot be read: No such file"),
        (["--state-dir", "/proc/evergauge"], 74, "this state folder cannot be used"),
        (["--runtime-dir", "/tmp/" + "long/" * 30, "--state-dir", "/tmp/x"], 78, "too long for a socket's path"),
        (["--host-name", "a/b"], 78, "holds a slash"),
        (["--host-name", "h" * 230, "--check-config"], 78, "has 230 bytes; the names of data files take"),
        (["--host-name", "ü" * 100, "--check-config"], 78, "has 200 bytes; the names of data files take"),
        (["--host-name", ".hidden", "--check-config"], 78, "begins with a dot"),
    ],
)
def test_a_start_that_cannot_succeed_says_why_in_one_sentence(arguments: list[str], code: int, sentence: str) -> None:
    """The right exit code, the thing named, the remedy given, no traceback."""
    ended = run_agentd(*arguments)
    assert ended.returncode == code, ended.stderr
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ";" in ended.stderr
    assert ended.stdout == ""


def test_an_unknown_key_in_the_file_is_named_with_its_nearest_neighbour(tmp_path: Path) -> None:
    """And `--check-config` finds it without starting anything."""
    file = tmp_path / "agentd.toml"
    file.write_text("[gateway]\nprt = 1\n")
    ended = run_agentd("--check-config", "--config", str(file))
    assert ended.returncode == 78
    assert "gateway.prt: there is no such setting; did you mean gateway.port?" in ended.stderr
    file.write_text('[gateway]\nport = 1\n[sampler.process]\ninterval = "2s"\n')
    assert run_agentd("--check-config", "--config", str(file)).returncode == 0


def test_help_lists_every_setting_with_its_unit_and_range() -> None:
    """One page, exit 0."""
    ended = run_agentd("--help")
    assert ended.returncode == 0
    for word in ("--for DURATION", "--sampler-process-top-rows", "EVERGAUGE_GATEWAY_PORT", "a duration from", "--state-dir"):
        assert word in ended.stdout


@pytest.mark.parametrize("what", ["--help", "--version", "--check-config"])
def test_a_reader_who_has_seen_enough_is_no_failure(what: str) -> None:
    """`agentd --help | head` says nothing of a broken pipe."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-c", "from agent.daemon.main import main; main()", what]
    ended = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, timeout=20, check=False)
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (0, b"")
