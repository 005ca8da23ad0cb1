"""What a model is called, whatever it was given as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.served_model_name import blob_of, canonical_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("gpt2", "gpt2"),
        ("ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"),
        ("/models/Qwen3-8B", "Qwen3-8B"),
        ("/models/Qwen3-8B/", "Qwen3-8B"),
        ("./Qwen3-8B", "Qwen3-8B"),
        ("/mnt/models", "/mnt/models"),
        ("/", "/"),
        ("///", "///"),
        ("..", ".."),
        ("/m/model-Q4_K_M-00001-of-00003.gguf", "model:Q4_K_M"),
        ("model.IQ2_XXS.gguf", "model:IQ2_XXS"),
        ("model-bf16.gguf", "model:BF16"),
        ("/m/model-instruct.gguf", "model-instruct"),
        ("/m/.gguf", ".gguf"),
        ("/m/Q4_K_M.gguf", "Q4_K_M"),
        (f"/hub/models--a--b--c/snapshots/{COMMIT}", "a/b--c@0123456789ab"),
        (f"/hub/models--a--b/snapshots/{COMMIT}/x-Q8_0.gguf", "a/b:Q8_0@0123456789ab"),
        ("/hub/models--a--b", "a/b"),
        ("/hub/models--", "models--"),
        ("https://huggingface.co/a/b/resolve/main/x-Q8_0.gguf?download=true", "a/b:Q8_0"),
        ("https://huggingface.co/a/b/tree/v2/folder", "a/b@v2"),
        ("https://huggingface.co/a/b", "a/b"),
        ("https://huggingface.co/a", "a"),
        ("hf://a/b", "a/b"),
        ("s3://bucket/team/Qwen3-8B", "Qwen3-8B"),
        ("s3://bucket/models", "bucket/models"),
        ("a/b/c", "c"),
    ],
)
def test_a_model_is_called_by_its_repository_or_by_what_names_it(raw: str, name: str) -> None:
    """A path that says nothing stays whole."""
    assert canonical_name(raw) == name


@pytest.mark.parametrize(
    ("revision", "name"), [(None, "a/b"), ("main", "a/b"), ("", "a/b"), ("v1", "a/b@v1"), (COMMIT, "a/b@0123456789ab")]
)
def test_a_revision_is_part_of_the_name(revision: str | None, name: str) -> None:
    """The usual one is not written, a commit is shortened."""
    assert canonical_name("a/b", revision) == name


def test_a_revision_that_is_told_wins_over_that_of_the_path() -> None:
    """It is what the server loads."""
    assert canonical_name(f"/hub/models--a--b/snapshots/{COMMIT}", "v1") == "a/b@v1"


@given(st.text(min_size=1, max_size=200))
def test_any_text_has_a_name_that_is_not_longer(text: str) -> None:
    """Nothing is made up but the parts' separators."""
    name = canonical_name(text)
    assert name
    assert len(name) <= len(text) + 1


def test_a_file_of_ollamas_store_is_known_by_its_digest() -> None:
    """64 hexadecimal digits and nothing else."""
    assert blob_of("/o/blobs/sha256-" + "0f" * 32) == "sha256:" + "0f" * 32
    assert blob_of("sha256-" + "0f" * 31) is None
    assert blob_of("sha256-" + "0F" * 32) is None
    assert blob_of("/o/blobs/x") is None
