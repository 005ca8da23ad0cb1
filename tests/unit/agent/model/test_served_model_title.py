"""What a process says of itself after it has written over its arguments."""

import pytest

from agent.model.served_model import ServedModel
from agent.model.served_model_title import model_by_title


@pytest.mark.parametrize(
    ("title", "model"),
    [
        (b"VLLM::EngineCore\0\0\0", ServedModel("vllm")),
        (b"VLLM::Worker_DP0_TP1", ServedModel("vllm")),
        (b"my-prefix::APIServer_0  ", ServedModel("vllm")),
        (b"sglang::scheduler_TP0", ServedModel("sglang")),
        (b"ray::ServeReplica:app:Chat", ServedModel("ray-serve", served="app:Chat", is_several=True)),
        (b"ray::ServeReplica:app:Chat.handle_request()", ServedModel("ray-serve", served="app:Chat", is_several=True)),
        (b"ray::ServeReplica:", ServedModel("ray-serve", is_several=True)),
        (b"ray::IDLE", None),
        (b"perl::Worker", ServedModel("vllm")),
        (b"a::b", None),
        (b"nginx: worker process", None),
        (b"", None),
        (b"\xff::\xff", None),
    ],
)
def test_a_title_names_the_server_and_never_a_model(title: bytes, model: ServedModel | None) -> None:
    """vLLM's prefix may be any: what follows it tells."""
    assert model_by_title(title) == model
