"""Sentences about the way to a runtime: each names the socket and what to do, whatever texts others put into it."""

from errno import EACCES, EAGAIN, ECONNREFUSED, EIO, ENOENT, ENOTSOCK, EPERM

import pytest

from agent.model.timebase import S
from workers.control_plane.nri.sentence import (
    absent_sentence,
    connect_sentence,
    ended_sentence,
    path_sentence,
    protocol_sentence,
    refused_sentence,
    silent_sentence,
    unfinished_sentence,
    unread_sentence,
)
from workers.control_plane.nri.stage import Stage

PATH = "/var/run/nri/nri.sock"


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("", "there is no NRI socket"),
        ("containerd", "`disable = false`"),
        ("containerd (k3s)", "`disable = false`"),
        ("CRI-O", "`enable_nri = true`"),
    ],
)
def test_without_a_socket_it_says_how_to_switch_nri_on(runtime: str, words: str) -> None:
    """By the runtime that is there."""
    sentence = absent_sentence(PATH, runtime)

    assert sentence.startswith(f"{PATH}: ")
    assert words in sentence
    assert "nri.socket_path" in sentence
    assert runtime in sentence


def test_a_runtime_that_took_its_socket_with_it_is_to_be_started() -> None:
    """Unless it is there, without NRI now: then that is what to switch on."""
    assert "containerd 1.7.24 has gone with its NRI socket; start it" in absent_sentence(PATH, "", "containerd 1.7.24")
    assert "`disable = false`" in absent_sentence(PATH, "containerd", "containerd 1.7.24")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (EACCES, "run the agent as root"),
        (EPERM, "run the agent as root"),
        (ECONNREFUSED, "start the container runtime"),
        (ENOTSOCK, "no stream socket"),
        (EAGAIN, "accepts no more connections"),
        (ENOENT, "there is no NRI socket"),
        (EIO, "cannot be connected to: words of the kernel"),
    ],
)
def test_each_refusal_of_the_kernel_has_its_remedy(code: int, words: str) -> None:
    """The socket is there and nobody gets in."""
    assert words in connect_sentence(PATH, OSError(code, "words of the kernel", PATH))


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_named_by_its_setting(path: str) -> None:
    """Nothing that is not printable gets into it."""
    sentence = path_sentence(path)

    assert "nri.socket_path" in sentence
    assert sentence.isprintable()


def test_a_refused_registration_has_code_and_message() -> None:
    """Both are the runtime's own."""
    sentence = refused_sentence(PATH, 3, "invalid plugin index\n\x1b[31m" + "x" * 10_000)

    assert "(code 3)" in sentence
    assert "invalid plugin index" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500
    assert "no reason given" in refused_sentence(PATH, 2, "")


def test_nonsense_is_answered_with_a_question_about_the_setting() -> None:
    """It may be the socket of another program."""
    sentence = protocol_sentence(PATH, "frame of 4,000,000,000 bytes\n")

    assert "frame of 4,000,000,000 bytes" in sentence
    assert "nri.socket_path" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("stage", Stage)
def test_silence_and_ends_are_told_by_their_stage(stage: Stage) -> None:
    """A person sees how far it came."""
    assert "within 15 s" in silent_sentence(PATH, stage, 15 * S)
    assert ended_sentence(PATH, stage).startswith(f"{PATH}: ")


def test_the_sentences_of_all_stages_differ() -> None:
    """None says what another says."""
    assert len({silent_sentence(PATH, stage, S) for stage in Stage}) == len(Stage)
    assert len({ended_sentence(PATH, stage) for stage in Stage}) == len(Stage)


def test_a_runtime_that_does_not_read_is_named() -> None:
    """Its log says why."""
    assert "does not read" in unread_sentence(PATH)


def test_a_runtime_that_stops_in_a_message_is_named() -> None:
    """With the time that it was given."""
    assert "in the middle of a message for 30 s" in unfinished_sentence(PATH, 30 * S)
