"""Where there is no hardware, `scripts/e2e --hardware` says so: it never looks like a success that tested nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.resctrl_mount import EmulatedResctrl

CHECKOUT = Path(__file__).parents[2]
E2E = str(CHECKOUT / "scripts" / "e2e")
# Each starts a shell or a pytest of its own, which takes a second or three where nothing else runs.
SECONDS = 120.0
pytestmark = [
    pytest.mark.timeout(SECONDS + 30),
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root"),
]


def _run(*words: str) -> tuple[int, str]:
    ended = subprocess.run([E2E, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_a_machine_without_a_mount_there_is_told_apart_in_one_sentence(tmp_path: Path) -> None:
    """Exit code 69 and why, whether the kernel has resctrl or not; no scenario ran."""
    code, said = _run("--hardware", str(tmp_path))
    assert (code, len(said.splitlines())) == (69, 1), said
    assert "skipped, nothing was tested: " in said
    assert "has no resctrl" in said or f"mount -t resctrl resctrl {tmp_path}" in said


def test_an_emulator_is_no_hardware(tmp_path: Path) -> None:
    """Its values would be taken for the machine's."""
    with EmulatedResctrl(tmp_path) as emulator:
        code, said = _run("--hardware", str(emulator.mount))
    assert (code, "is an emulator's" in said) == (69, True), said


def test_what_changes_the_whole_machine_is_asked_for_together_with_the_hardware() -> None:
    """A word without its other is a mistake."""
    code, said = _run("--disturb")
    assert (code, "--disturb goes with --hardware" in said) == (64, True), said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--hardware", "sys/fs/resctrl"), "--hardware takes a whole path, such as /sys/fs/resctrl, and not 'sys/fs/resctrl'"),
        (("--hardware", ""), "--hardware takes a whole path"),
        (("--hardware=/sys/fs/resctrl",), "write --hardware /sys/fs/resctrl"),
    ],
)
def test_a_place_that_is_none_is_a_mistake_and_not_the_default(words: tuple[str, ...], sentence: str) -> None:
    """The scenarios would run on another mount than the one that was meant."""
    code, said = _run(*words)
    assert (code, sentence in said, len(said.splitlines())) == (64, True, 1), said


def test_a_run_of_which_everything_was_skipped_is_no_success(tmp_path: Path) -> None:
    """A scenario that only an emulator can play, on a mount that is named as real: the reason is shown, and the exit code is 69."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "tests/e2e/test_resctrl_agent.py",
        "-rs",
        "-k",
        "top_shows_who",
        f"--basetemp={tmp_path}/t",
    ]
    environment = {**os.environ, "EVERGAUGE_REAL_RESCTRL": str(tmp_path)}
    ended = subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 69, ended.stdout
    assert "only an emulator has so few ids" in ended.stdout
    assert f"nothing was tested: every scenario was skipped on {tmp_path}" in ended.stdout
