"""JSON documents are UTF-8 whatever names stand in them."""

import msgspec
import pytest

from agent.model.json_text import json_bytes


def test_a_document_of_proper_text_is_what_msgspec_writes() -> None:
    """Nothing is changed that need not be."""
    document = {"a": [1, None, "é\n"]}
    assert json_bytes(document) == msgspec.json.encode(document)


def test_a_foreign_name_does_not_keep_a_document_from_being_written() -> None:
    """Keys and values alike, at any depth."""
    assert msgspec.json.decode(json_bytes({"k\udcff": [{"p": "/x\udcfe"}]})) == {r"k\xff": [{"p": r"/x\xfe"}]}


def test_what_json_has_not_is_refused() -> None:
    """As msgspec refuses it."""
    with pytest.raises(TypeError):
        json_bytes({"a": 1 + 2j})
