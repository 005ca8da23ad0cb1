"""The servers that are known, and where their names count."""

import pytest

from agent.model.served_model_engine import ENGINES, program_at


def test_a_server_is_the_program_or_what_a_starter_starts() -> None:
    """Behind any other program its name is an argument like others."""
    for words in ([b"vllm", b"serve"], [b"/x/python3.11", b"/y/vllm", b"serve"], [b"env", b"A=1", b"nice", b"vllm", b"serve"]):
        found = program_at(words)
        assert found is not None
        assert (found[0].name, list(found[1])) == ("vllm", [b"serve"])
    assert program_at([b"cat", b"vllm", b"serve"]) is None
    assert program_at([b"python3", *[b"x"] * 300, b"vllm", b"serve"]) is None
    assert program_at([]) is None


def test_arguments_end_with_their_command() -> None:
    """Where a starter has several commands; an empty argument of a server itself ends nothing."""
    found = program_at([b"sh", b"vllm", b"serve", b"a", b"", b"b"])
    assert found is not None
    assert list(found[1]) == [b"serve", b"a"]
    own = program_at([b"vllm", b"serve", b"", b"b"])
    assert own is not None
    assert list(own[1]) == [b"serve", b"", b"b"]


def test_a_module_is_named_with_dots_or_as_a_file() -> None:
    """`python -m` or its path."""
    for words in ([b"python", b"-m", b"sglang.launch_server"], [b"python", b"/s/sglang/launch_server.py"]):
        found = program_at(words)
        assert found is not None
        assert found[0].name == "sglang"
    assert program_at([b"python", b"/s/other/launch_server.py"]) is None
    assert program_at([b"python", b"-m", b"other"]) is None


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_options_are_written_as_they_are_looked_for(engine: object) -> None:
    """With hyphens, since underscores are read as such."""
    assert all(b"_" not in option for option in engine.options)  # type: ignore[attr-defined]  # ids need an untyped parameter
