"""What an operator reads when the CRI socket cannot be used."""

from errno import EACCES, ECONNREFUSED, EIO

import pytest

from agent.model.errors import UnavailableError
from workers.control_plane.cri.sentence import alpha_sentence, problem_sentence, without_cri_sentence, without_package_sentence


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (PermissionError(EACCES, "x"), "/s: the agent may not open it; run the agent as root, or set cri.enabled to false"),
        (OSError("AF_UNIX path too long"), "/s: the path is too long for a socket; shorten cri.socket_path"),
        (ConnectionRefusedError(ECONNREFUSED, "x"), "/s: no program listens there; start the container runtime"),
        (OSError(EIO, "Input/output error"), "/s: Input/output error"),
        (UnavailableError("/s", "Version has no answer within 10 s"), "/s: Version has no answer within 10 s"),
    ],
)
def test_a_failure_is_a_sentence_with_what_to_do(problem: OSError | UnavailableError, sentence: str) -> None:
    """Known errors name the remedy; others keep the system's words."""
    assert problem_sentence("/s", problem) == sentence


def test_a_runtime_that_is_too_old_is_named() -> None:
    """With what it is, if it says so, and what would do."""
    assert alpha_sentence("/s", "containerd 1.5.0").startswith("/s: containerd 1.5.0 offers CRI v1alpha2 only; containerd 1.6")
    assert alpha_sentence("/s", "").startswith("/s: the container runtime offers")


def test_every_sentence_is_one_line() -> None:
    """Whatever stands in the path."""
    sentences = [problem_sentence("/a\nb", OSError(EIO, "x")), alpha_sentence("/a\nb", "y\n"), without_cri_sentence("/a\nb")]
    assert all("\n" not in sentence for sentence in [*sentences, without_package_sentence()])
