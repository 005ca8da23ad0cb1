"""The inference servers that are known: their programs, and which of their options and variables name a model. PURE."""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.served_model_words import base_name

# Programs that start another one which they are given: only behind these a server's name stands elsewhere than in the first place.
_STARTERS = frozenset(
    b"accelerate ash bash catchsegv chrt conda dash docker-init dumb-init env gosu ionice ksh micromamba mpiexec mpirun nice "
    b"nohup nsys numactl orterun pdm poetry prlimit pypy python python2 python3 s6-setuidgid setpriv setsid sh stdbuf su-exec sudo "
    b"taskset tini timeout torchrun uv uvx zsh".split()
)
# A name that stands further behind belongs to something else.
_PLACES_MAX = 256
_SERVED = (b"--served-model-name",)
_REVISION = (b"--revision",)


class Engine(Struct, frozen=True):
    """One server. Options are those that name the model, the earlier ones first.

    `modules` are those of `python -m`. With `subcommands` the first argument is one of them, or may be. `is_positional`: the next
    argument is the model. With one of `several_options`, and no model, it serves whatever it is asked for.
    """

    name: str
    programs: frozenset[bytes] = frozenset()
    modules: tuple[bytes, ...] = ()
    subcommands: frozenset[bytes] = frozenset()
    is_subcommand_needed: bool = False
    is_positional: bool = False
    model_options: tuple[bytes, ...] = ()
    served_options: tuple[bytes, ...] = ()
    revision_options: tuple[bytes, ...] = ()
    several_options: tuple[bytes, ...] = ()
    is_several: bool = False
    model_variables: tuple[bytes, ...] = ()
    served_variables: tuple[bytes, ...] = ()
    revision_variables: tuple[bytes, ...] = ()

    @property
    def options(self) -> frozenset[bytes]:
        """All that are looked for."""
        return frozenset((*self.model_options, *self.served_options, *self.revision_options, *self.several_options))


def _hugging_face(name: str, program: bytes) -> Engine:
    """Hugging Face's servers take each option as a variable too."""
    return Engine(
        name,
        programs=frozenset({program}),
        model_options=(b"--model-id",),
        served_options=_SERVED,
        revision_options=_REVISION,
        model_variables=(b"MODEL_ID",),
        served_variables=(b"SERVED_MODEL_NAME",),
        revision_variables=(b"REVISION",),
    )


_SERVE = frozenset({b"serve"})
ENGINES: tuple[Engine, ...] = (
    Engine(
        "vllm",
        programs=frozenset({b"vllm"}),
        subcommands=_SERVE,
        is_subcommand_needed=True,
        is_positional=True,
        model_options=(b"--model", b"--model-tag"),
        served_options=_SERVED,
        revision_options=_REVISION,
    ),
    Engine(
        "vllm",
        modules=(b"vllm.entrypoints.openai.api_server", b"vllm.entrypoints.api_server"),
        model_options=(b"--model",),
        served_options=_SERVED,
        revision_options=_REVISION,
    ),
    Engine(
        "sglang",
        programs=frozenset({b"sglang"}),
        subcommands=_SERVE,
        is_subcommand_needed=True,
        model_options=(b"--model-path", b"--model"),
        served_options=_SERVED,
        revision_options=_REVISION,
    ),
    Engine(
        "sglang",
        modules=(b"sglang.launch_server",),
        model_options=(b"--model-path", b"--model"),
        served_options=_SERVED,
        revision_options=_REVISION,
    ),
    Engine(
        "llama-server",
        programs=frozenset({b"llama-server"}),
        # `-md`, `--model-draft` and `--hf-repo-draft` are the small model that guesses ahead.
        model_options=(b"-hf", b"-hfr", b"--hf-repo", b"-m", b"--model", b"-mu", b"--model-url"),
        served_options=(b"-a", b"--alias"),
        several_options=(b"--models-dir", b"--models-preset"),
        model_variables=(b"LLAMA_ARG_HF_REPO", b"LLAMA_ARG_MODEL", b"LLAMA_ARG_MODEL_URL"),
        served_variables=(b"LLAMA_ARG_ALIAS",),
    ),
    _hugging_face("tgi", b"text-generation-launcher"),
    Engine(
        # A shard of it.
        "tgi",
        programs=frozenset({b"text-generation-server"}),
        subcommands=_SERVE,
        is_subcommand_needed=True,
        is_positional=True,
        revision_options=_REVISION,
    ),
    _hugging_face("tei", b"text-embeddings-router"),
    Engine(
        "ollama",
        programs=frozenset({b"ollama"}),
        subcommands=frozenset({b"runner"}),
        is_subcommand_needed=True,
        model_options=(b"--model", b"-model"),
    ),
    Engine("ollama", programs=frozenset({b"ollama_llama_server"}), model_options=(b"--model",)),
    Engine("ollama", programs=frozenset({b"ollama"}), subcommands=_SERVE, is_subcommand_needed=True, is_several=True),
    Engine(
        "trtllm",
        programs=frozenset({b"trtllm-serve"}),
        subcommands=_SERVE,
        is_positional=True,
        model_options=(b"--model",),
        served_options=_SERVED,
        revision_options=_REVISION,
    ),
    Engine(
        "triton",
        programs=frozenset({b"tritonserver"}),
        model_options=(b"--model-repository", b"--model-store"),
        served_options=(b"--load-model",),
        is_several=True,
    ),
)
_BY_PROGRAM: dict[bytes, list[Engine]] = {}
_BY_MODULE: dict[bytes, Engine] = {}
for _engine in ENGINES:
    for _program in _engine.programs:
        _BY_PROGRAM.setdefault(_program, []).append(_engine)
    for _module in _engine.modules:
        _BY_MODULE[_module] = _engine


def program_at(words: Sequence[bytes]) -> tuple[Engine, Sequence[bytes]] | None:
    """The server that a command runs, and the arguments of it up to the end of its command. *Absent:* it runs none."""
    if not words:
        return None
    places = _PLACES_MAX if _is_starter(base_name(words[0])) else 1
    for at, word in enumerate(words[:places]):
        engine = _engine_at(words, at, word)
        if engine is not None:
            rest = words[at + 1 :]
            return engine, rest[: rest.index(b"")] if b"" in rest and _is_starter(base_name(words[0])) else rest
    return None


def _engine_at(words: Sequence[bytes], at: int, word: bytes) -> Engine | None:
    name = base_name(word)
    candidates = _BY_PROGRAM.get(name)
    if candidates is not None:
        following = words[at + 1] if at + 1 < len(words) else b""
        fitting = [each for each in candidates if not each.is_subcommand_needed or following in each.subcommands]
        return fitting[0] if fitting else None
    if at and words[at - 1] == b"-m":
        return _BY_MODULE.get(word)
    if name in (b"launch_server.py", b"api_server.py"):
        dotted = word.removesuffix(b".py").replace(b"/", b".")
        return next((engine for module, engine in _BY_MODULE.items() if dotted.endswith(module)), None)
    return None


def _is_starter(name: bytes) -> bool:
    # `python3.11`
    return name in _STARTERS or name.split(b".", 1)[0] in _STARTERS
