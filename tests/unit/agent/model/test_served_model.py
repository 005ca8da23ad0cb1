"""Which model a server serves, by how it was started: every server, every trap, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.served_model import (
    NAME_BYTES_READ_MAX,
    NAME_CHARACTERS_MAX,
    ServedModel,
    model_by_arguments,
    parse_environment,
    shown_name,
    variables_wanted,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOB = "sha256-" + "a1" * 32
PYTHON = "/usr/bin/python3"
HUB = f"/root/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/{COMMIT}"


def line(*words: str) -> bytes:
    """Arguments as the kernel shows them."""
    return b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def served(text: str) -> ServedModel | None:
    """By the words of a text."""
    return model_by_arguments(line(*text.split(" ")))


CASES = {
    "vllm serve Qwen/Qwen3-8B --served-model-name chat qwen": ServedModel("vllm", "Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "chat"),
    f"{PYTHON} /usr/local/bin/vllm serve --port 8000 --model a/b": ServedModel("vllm", "a/b", "a/b"),
    f"{PYTHON} -u -m vllm.entrypoints.openai.api_server --model=a/b": ServedModel("vllm", "a/b", "a/b"),
    f"{PYTHON} /src/vllm/entrypoints/openai/api_server.py --model a/b --served_model_name c": ServedModel(
        "vllm", "a/b", "a/b", "c"
    ),
    f"vllm serve a/b --revision {COMMIT}": ServedModel("vllm", "a/b@0123456789ab", "a/b"),
    "vllm serve a/b --revision main": ServedModel("vllm", "a/b", "a/b"),
    "vllm serve --config /etc/vllm.yaml": ServedModel("vllm"),
    "tini -- vllm serve a/b": ServedModel("vllm", "a/b", "a/b"),
    f"python3.12 -m sglang.launch_server --model-path {HUB}": ServedModel("sglang", "Qwen/Qwen3-8B@0123456789ab", HUB),
    "sglang serve --model a/b --served-model-name c": ServedModel("sglang", "a/b", "a/b", "c"),
    "/app/llama-server -m /m/Meta-Llama-3-8B.Q4_K_M.gguf -md /m/small.gguf -a llama": ServedModel(
        "llama-server", "Meta-Llama-3-8B:Q4_K_M", "/m/Meta-Llama-3-8B.Q4_K_M.gguf", "llama"
    ),
    "llama-server -md /m/small.gguf": ServedModel("llama-server"),
    "llama-server -hf ggml-org/gemma-3:Q8_0": ServedModel("llama-server", "ggml-org/gemma-3:Q8_0", "ggml-org/gemma-3:Q8_0"),
    "llama-server --models-dir /m": ServedModel("llama-server", is_several=True),
    "text-generation-launcher --model-id a/b --hf-token x": ServedModel("tgi", "a/b", "a/b"),
    f"{PYTHON} /opt/bin/text-generation-server serve a/b --revision v1": ServedModel("tgi", "a/b@v1", "a/b"),
    "text-embeddings-router --model-id a/b --served-model-name c": ServedModel("tei", "a/b", "a/b", "c"),
    f"ollama runner --ollama-engine --model /o/blobs/{BLOB} --port 4": ServedModel("ollama", BLOB, f"/o/blobs/{BLOB}"),
    f"/tmp/ollama_llama_server --model /o/blobs/{BLOB}": ServedModel("ollama", BLOB, f"/o/blobs/{BLOB}"),
    "ollama serve": ServedModel("ollama", is_several=True),
    "trtllm-serve a/b --served_model_name c": ServedModel("trtllm", "a/b", "a/b", "c"),
    "mpirun -n 2 trtllm-serve serve a/b": ServedModel("trtllm", "a/b", "a/b"),
    "tritonserver --model-repository=/a --model-repository=/b --load-model x": ServedModel("triton", None, "/b", "x", True),
}


@pytest.mark.parametrize("text", CASES)
def test_collect_parses_cmdline(text: str) -> None:
    """Each server has its own words for the model."""
    assert served(text) == CASES[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vllm bench serve --model a/b",
        "vllm",
        "grep vllm serve a/b",
        "vim llama-server -m a.gguf",
        "ollama run llama3",
        "ollama pull llama3",
        f"{PYTHON} -m http.server",
        f"{PYTHON} -m",
        "sh -c sleep",
        "sh -c",
        "llama-cli -m a.gguf",
    ],
)
def test_what_serves_nothing_has_no_model(text: str) -> None:
    """A word of a server's name among the arguments of another program is not a server."""
    assert served(text) is None


def test_a_shell_says_what_it_will_start() -> None:
    """A script of several lines and commands: the server's own arguments end where its command does."""
    script = "pip install a &&\n exec vllm serve \\\n 'a/b' --served-model-name \"c\"; echo --served-model-name d"
    assert model_by_arguments(line("/bin/bash", "-ec", script)) == ServedModel("vllm", "a/b", "a/b", "c")


def test_what_a_shell_will_replace_is_not_taken_for_a_name() -> None:
    """`$MODEL` is no model; the process that the shell starts has the model itself."""
    assert model_by_arguments(line("sh", "-c", "vllm serve $MODEL --served-model-name `hostname`")) == ServedModel("vllm")


def test_variables_name_the_model_that_arguments_do_not() -> None:
    """Of the servers that read them; all other variables are left alone."""
    content = b"HF_TOKEN=hf_secret\0MODEL_ID=a/b\0REVISION=v2\0MODEL_ID=second\0EMPTY=\0no equals"
    command = line("text-generation-launcher", "--port", "80")
    wanted = variables_wanted(command)
    assert wanted == {b"MODEL_ID", b"SERVED_MODEL_NAME", b"REVISION"}
    variables = parse_environment(content, wanted)
    assert variables == {b"MODEL_ID": b"a/b", b"REVISION": b"v2"}
    assert model_by_arguments(command, variables) == ServedModel("tgi", "a/b@v2", "a/b")


def test_llama_server_reads_its_variables_too() -> None:
    """Arguments win over them, as in the server."""
    variables = {b"LLAMA_ARG_MODEL": b"/m/x-Q8_0.gguf", b"LLAMA_ARG_ALIAS": b"y"}
    assert model_by_arguments(line("llama-server"), variables) == ServedModel("llama-server", "x:Q8_0", "/m/x-Q8_0.gguf", "y")
    assert model_by_arguments(line("llama-server", "-m", "/m/z.gguf"), variables) == ServedModel(
        "llama-server", "z", "/m/z.gguf", "y"
    )


@pytest.mark.parametrize(
    "text", ["vllm serve a/b", "text-generation-launcher --model-id a/b", "vllm serve", "sleep 1", "vllm bench"]
)
def test_variables_are_read_only_where_they_can_help(text: str) -> None:
    """Not of a process whose arguments say it, nor of one that reads none."""
    assert variables_wanted(line(*text.split(" "))) == frozenset()


SECRETS = [
    "hf_abcdefghijklmnopqrstuvwxyzabcdefgh",
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "glpat-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "form", ["{}", "https://user:{}@hub.example/a/b", "https://{}@hub.example/a/b", "first\n{}\nlast", "a?token={}"]
)
def test_a_secret_in_a_models_name_is_masked(secret: str, form: str) -> None:
    """Whatever is stored of it, in every place that it can be given in."""
    value = form.format(secret)
    for words in (
        ("vllm", "serve", value),
        ("vllm", "serve", "a", f"--served-model-name={value}"),
        ("vllm", "serve", "a", "--revision", value),
    ):
        found = model_by_arguments(line(*words))
        assert found is not None
        assert secret not in repr(found)


@pytest.mark.parametrize("option", ["--hf-token", "--hf-api-token", "--api-key", "--password"])
@pytest.mark.parametrize("joint", [" ", "="])
def test_a_secret_beside_the_model_is_never_taken(option: str, joint: str) -> None:
    """Only the options that name a model are read at all."""
    found = served(f"vllm serve a/b {option}{joint}very-secret --served-model-name c")
    assert found == ServedModel("vllm", "a/b", "a/b", "c")


def test_an_argument_of_128_kib_is_read_like_others() -> None:
    """What comes before and behind it is found; a name of that length is cut."""
    long = "x" * (128 << 10)
    assert model_by_arguments(line("vllm", "serve", "--chat-template", long, "--model", "a/b")) == ServedModel("vllm", "a/b", "a/b")
    found = model_by_arguments(line("vllm", "serve", long))
    assert found is not None
    assert found.raw is not None
    assert len(found.raw) == NAME_CHARACTERS_MAX


def test_bytes_that_are_no_text_are_written_out() -> None:
    """No row can hold them as they are."""
    assert model_by_arguments(b"vllm\0serve\0a/\xff\x1b\0") == ServedModel("vllm", "a/\\xff\\x1b", "a/\\xff\\x1b")
    assert shown_name(b"\x1b[2J") == "\\x1b[2J"


def test_every_prefix_and_every_altered_byte_is_survived() -> None:
    """Of every command line here."""
    for text in CASES:
        data = line(*text.split(" "))
        for at in range(len(data)):
            for changed in (data[:at], data[:at] + b"\xff" + data[at + 1 :], data[:at] + b"\0" + data[at + 1 :]):
                model_by_arguments(changed)
                variables_wanted(changed)


@given(st.binary(max_size=300), st.sampled_from([b"", b"vllm\0serve\0", b"sh\0-c\0vllm serve ", b"llama-server\0-m\0"]))
def test_any_bytes_give_a_model_that_a_row_can_hold(data: bytes, prefix: bytes) -> None:
    """Printable and bounded."""
    found = model_by_arguments(prefix + data)
    for name in () if found is None else (found.model, found.raw, found.served):
        assert name is None or (name.isprintable() and name.encode() and len(name) <= 2 * NAME_CHARACTERS_MAX)


def test_of_a_name_without_end_little_is_looked_at() -> None:
    """No half secret is left where it is cut."""
    assert len(shown_name(b"a/" * (64 << 10))) <= NAME_CHARACTERS_MAX
    assert "hf_" not in shown_name(b"x " * (NAME_BYTES_READ_MAX // 2 - 3) + b"hf_" + b"a1B2" * 8)
