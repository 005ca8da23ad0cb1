"""The checksum is BLAKE2b, whichever module of the interpreter has it."""

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from agent.model import checksum


def test_it_is_the_blake2b_of_the_standard_library() -> None:
    """Digests that an earlier version stored stay valid."""
    assert checksum.blake2b(b"rows", digest_size=16).digest() == hashlib.blake2b(b"rows", digest_size=16).digest()


def test_an_interpreter_without_the_small_module_uses_hashlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs memory, and gives the same digests."""
    monkeypatch.setitem(sys.modules, "_blake2", None)
    spec = spec_from_file_location("checksum_without_blake2", checksum.__file__)
    assert spec is not None
    assert spec.loader is not None
    other = module_from_spec(spec)
    spec.loader.exec_module(other)

    assert other.blake2b is hashlib.blake2b
    assert other.blake2b(b"rows", digest_size=16).digest() == checksum.blake2b(b"rows", digest_size=16).digest()
