"""Ollama's manifests and the answers of engines: real ones, and any bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.absence import Absence
from agent.model.served_model import ServedModel
from agent.model.served_model_document import name_of_manifest, parse_answer, parse_manifest, with_store_name

DIGEST = "sha256:" + "6a" * 32
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:" + "3f" * 32, "size": 485},
        "layers": [
            {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "4f" * 32, "size": 254},
            {"mediaType": "application/vnd.ollama.image.model", "digest": DIGEST, "size": 4661211424},
        ],
    }
).encode()
VLLM = json.dumps(
    {
        "object": "list",
        "data": [
            {"id": "chat", "object": "model", "created": 1, "owned_by": "vllm", "root": "Qwen/Qwen3-8B", "parent": None},
            {"id": "adapter", "object": "model", "root": "/lora/adapter", "parent": "Qwen/Qwen3-8B"},
        ],
    }
).encode()


def test_a_manifest_names_the_models_layer() -> None:
    """Not that of its template."""
    assert parse_manifest(MANIFEST) == DIGEST


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("registry.ollama.ai/library/llama3/8b", "llama3:8b"),
        ("registry.ollama.ai/team/llama3/latest", "team/llama3:latest"),
        ("hub.example/library/llama3/8b", "hub.example/library/llama3:8b"),
        ("library/llama3/8b", None),
        ("a//b/c", None),
        ("a/b/c/\udcff", "a/b/c:\\xff"),
    ],
)
def test_the_path_of_a_manifest_is_the_name_of_the_model(path: str, name: str | None) -> None:
    """What is usual is left out, as people write it."""
    assert name_of_manifest(path) == name


def test_a_blob_gets_the_name_of_its_manifest() -> None:
    """Without one its digest is all that is known; what is no blob stays."""
    blob = ServedModel("ollama", "x", "/o/blobs/" + DIGEST.replace(":", "-"))
    assert with_store_name(blob, {DIGEST: "llama3:8b"}) == ServedModel("ollama", "llama3:8b", blob.raw, "llama3:8b")
    assert with_store_name(blob, {}) == ServedModel("ollama", DIGEST, blob.raw)
    other = ServedModel("vllm", "a/b", "a/b")
    assert with_store_name(other, {DIGEST: "llama3:8b"}) is other
    assert with_store_name(ServedModel("ollama"), {}) == ServedModel("ollama")


def test_an_engines_list_names_the_model_and_what_clients_call_it() -> None:
    """Adapters beside it are not models of their own."""
    assert parse_answer(VLLM) == ServedModel("vllm", "Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "chat")


def test_a_list_of_different_models_is_that_of_several() -> None:
    """A router's; and of what the owner of a model is called only names of servers are believed."""
    content = b'{"data": [{"id": "a", "owned_by": "me"}, {"id": "b"}]}'
    assert parse_answer(content) == ServedModel("", None, "a", "a", True)
    assert parse_answer(b'{"data": [{"id": "a", "owned_by": "sglang"}, {"id": "a"}]}') == ServedModel("sglang", "a", "a", "a")


def test_llama_server_lists_its_model_twice() -> None:
    """As OpenAI does, and as Ollama does."""
    content = b'{"models": [{"name": "/m/q-Q4_K_M.gguf"}], "data": [{"id": "/m/q-Q4_K_M.gguf", "owned_by": "llamacpp"}]}'
    raw = "/m/q-Q4_K_M.gguf"
    assert parse_answer(content) == ServedModel("llama-server", "q:Q4_K_M", raw, raw)


def test_ollama_lists_what_it_has_loaded() -> None:
    """Nothing, one, several."""
    assert parse_answer(b'{"models": []}') is None
    assert parse_answer(b'{"models": [{"name": "a:8b", "size": 1}]}') == ServedModel("ollama", "a:8b", "a:8b", "a:8b")
    assert parse_answer(b'{"models": [{"name": "a"}, {"name": "b"}]}') == ServedModel("ollama", None, "a", "a", True)


@pytest.mark.parametrize("content", [b'{"data": [{"id": ""}]}', b'{"data": []}', b'{"models": [{}]}'])
def test_a_list_of_none_has_no_model(content: bytes) -> None:
    """The engine is there, and has none loaded."""
    assert parse_answer(content) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"data": 1}', b"\xff", b"[" * 100_000, b"<html>"])
def test_what_is_no_list_is_malformed(content: bytes) -> None:
    """Neither does it raise."""
    assert parse_answer(content) is Absence.MALFORMED
    assert parse_manifest(content) is None


@pytest.mark.parametrize(("content", "parse"), [(MANIFEST, parse_manifest), (VLLM, parse_answer)])
def test_every_prefix_and_every_altered_byte_is_survived(content: bytes, parse: object) -> None:
    """Of real documents."""
    for at in range(len(content)):
        for changed in (content[:at], content[:at] + b"\xff" + content[at + 1 :], content[:at] + b'"' + content[at + 1 :]):
            parse(changed)  # type: ignore[operator]  # one of two functions


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(content: bytes) -> None:
    """As an answer and as a manifest."""
    parse_manifest(content)
    parse_answer(content)
    parse_answer(b'{"data": [{"id": "a' + content + b'"}]}')


def test_a_secret_in_an_answer_is_masked() -> None:
    """An engine repeats the address that it was given."""
    content = b'{"data": [{"id": "c", "root": "https://user:hf_abcdefghijklmnopqrstuvwxyzabcdefgh@hub.example/a"}]}'
    assert "hf_" not in repr(parse_answer(content))
