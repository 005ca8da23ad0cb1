"""Which model an inference server serves, by the arguments and variables it was started with. PURE.

Any user may start a process with any arguments, so all of this is foreign text: every function is linear in its bytes, never
raises on them, and what it gives is printable, bounded, and has its secrets masked.
*Source:* the command line documents of vLLM, SGLang, llama.cpp (tools/server/README.md), Text Generation Inference, Text Embeddings
Inference, TensorRT-LLM and Triton.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.model.foreign import readable
from agent.model.secret import masked
from agent.model.served_model_engine import Engine, program_at
from agent.model.served_model_name import canonical_name
from agent.model.served_model_words import CommandWords, command_of, options_of

# More is no name; its masking would take a process milliseconds in which it does nothing else.
NAME_BYTES_READ_MAX = 4 << 10
# A repository's name has at most 96 characters, an organisation's 42, a path of a model is seldom longer than this.
NAME_CHARACTERS_MAX = 512


class ServedModel(Struct, frozen=True):
    """What one process says of the model it serves.

    `model` is the repository's name, with `@revision` and `:quantization` where they are told, or what of a path names the model.
    `raw` is what was given. `served` is the first name that clients ask for. `is_several`: it may serve more than one.
    *Absent:* None where the process does not say it.
    """

    engine: str
    model: str | None = None
    raw: str | None = None
    served: str | None = None
    is_several: bool = False


def model_by_arguments(command_line: bytes, environment: Mapping[bytes, bytes] | None = None) -> ServedModel | None:
    """The model by the content of `/proc/PID/cmdline`; `environment` has the variables of `variables_wanted`.

    *Absent:* it is none of the known servers, or a part of one that has no model. *Source:* proc_pid_cmdline(5).
    """
    command = command_of(command_line)
    found = program_at(command.words)
    return None if found is None else _served(*found, command, environment or {})


def variables_wanted(command_line: bytes) -> frozenset[bytes]:
    """Which variables of the process can name a model that its arguments do not name; none for most processes."""
    command = command_of(command_line)
    found = program_at(command.words)
    if found is None:
        return frozenset()
    told = _served(*found, command, {})
    engine = found[0]
    named = {*engine.model_variables, *engine.served_variables, *engine.revision_variables}
    return frozenset() if told.raw is not None else frozenset(named)


def parse_environment(content: bytes, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """The wanted variables of `/proc/PID/environ`, each as it stands first. Others are never looked at further."""
    found: dict[bytes, bytes] = {}
    for part in content.split(b"\0"):
        name, equals, value = part.partition(b"=")
        if equals and value and name in wanted:
            found.setdefault(name, value)
    return found


def shown_name(value: bytes) -> str:
    """A name that others chose, as it may be stored: its secrets masked, on one line, bounded."""
    head = value[:NAME_BYTES_READ_MAX]
    return readable(masked(head, is_whole=head == value), NAME_CHARACTERS_MAX)


def _served(engine: Engine, arguments: Sequence[bytes], command: CommandWords, environment: Mapping[bytes, bytes]) -> ServedModel:
    # Where one is needed it is there: without it the program is none of this engine.
    if arguments and arguments[0] in engine.subcommands:
        arguments = arguments[1:]
    options = options_of(arguments, engine.options)
    raw = _first(options, engine.model_options) or _positional(engine, arguments) or _first(environment, engine.model_variables)
    served = _first(options, engine.served_options) or _first(environment, engine.served_variables)
    if command.is_script:
        raw, served = (_without_expansion(each) for each in (raw, served))
    several = engine.is_several or (raw is None and any(name in options for name in engine.several_options))
    if raw is None:
        return ServedModel(engine.name, None, None, _shown(served), several)
    revision = _first(options, engine.revision_options) or _first(environment, engine.revision_variables)
    # A repository with many models has none that could be named.
    model = None if several else canonical_name(shown_name(raw), None if revision is None else shown_name(revision))
    return ServedModel(engine.name, model, shown_name(raw), _shown(served), several)


def _positional(engine: Engine, arguments: Sequence[bytes]) -> bytes | None:
    if engine.is_positional and arguments and arguments[0] and not arguments[0].startswith(b"-"):
        return arguments[0]
    return None


def _first(values: Mapping[bytes, bytes], names: Sequence[bytes]) -> bytes | None:
    return next((value for name in names if (value := values.get(name))), None)


def _without_expansion(value: bytes | None) -> bytes | None:
    # What a shell will put there is not known; the server that it starts says it.
    return None if value is None or b"$" in value or b"`" in value else value


def _shown(value: bytes | None) -> str | None:
    return None if value is None else shown_name(value)
