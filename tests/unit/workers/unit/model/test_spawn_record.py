"""What the keeper's record of a workload says of its model."""

import msgspec
import pytest

from agent.model.served_model import ServedModel
from workers.keeper.protocol import Birth, WorkloadRecord, WorkloadSpec
from workers.keeper.workload_folder import RECORD_BYTES_MAX as KEPT_BYTES_MAX
from workers.keeper.workload_folder import RECORD_SUFFIX as KEPT_SUFFIX
from workers.unit.model.finding import ModelFinding, ModelSource, of_label
from workers.unit.model.spawn_record import RECORD_BYTES_MAX, RECORD_SUFFIX, findings_of_record

CGROUP = "/evergauge-workloads/chat.workload"


def record(*argv: str, **more: dict[str, str]) -> bytes:
    """As the keeper writes it."""
    spec = msgspec.convert({"name": "chat", "argv": argv, **more}, WorkloadSpec)
    return msgspec.json.encode(WorkloadRecord(spec, 1, 7, 8, "boot", 9, Birth.CLONE, cgroup=CGROUP))


def test_command_and_label_are_two_sources() -> None:
    """With what the environment says where the command does not."""
    content = record("tei", labels={"model": "our/embedder", "team": "x"})
    assert findings_of_record(content, CGROUP) == (of_label("our/embedder"),)
    content = record("text-embeddings-router", "--port", "80", env={"MODEL_ID": "BAAI/bge-m3", "HF_TOKEN": "hf_" + "a" * 30})
    told = ServedModel("tei", "BAAI/bge-m3", "BAAI/bge-m3")
    assert findings_of_record(content, CGROUP) == (ModelFinding(ModelSource.SPAWN_RECORD, told),)
    assert findings_of_record(record("sleep", "1"), CGROUP) == ()


def test_the_record_of_another_cgroup_says_nothing() -> None:
    """Two agents of one host may have workloads of one name."""
    assert findings_of_record(record("vllm", "serve", "a/b"), "/other/chat.workload") == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"spec": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_record_says_nothing(content: bytes) -> None:
    """A file that was damaged."""
    assert findings_of_record(content, CGROUP) == ()


def test_files_are_named_and_bounded_as_the_keeper_does() -> None:
    """Whatever it writes can be read."""
    assert (RECORD_SUFFIX, RECORD_BYTES_MAX) == (KEPT_SUFFIX, KEPT_BYTES_MAX)
