"""Time over foreign text grows as the text does: every pattern of the source is listed here with text that is hostile to it.

A pattern that looks at some text again and again, from each place of it, takes sixteen times as long for four times the text. One
process with one long argument would then stop a worker for good.
"""

import ast
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agent.cli.query_database import is_named
from agent.model import cgroup_path, secret, secret_name, secret_option, secret_shape, secret_value
from agent.model.command_line import parse_command_line
from agent.model.errors import KernelFormatError, ProtocolError
from agent.model.foreign import readable
from agent.model.glob import Glob
from agent.model.served_model import model_by_arguments, parse_environment, variables_wanted
from agent.model.served_model_document import name_of_manifest, parse_answer, parse_manifest
from agent.model.served_model_name import blob_of, canonical_name
from agent.model.served_model_title import model_by_title
from workers.control_plane.nri.message import SessionCounters, parse_configuration, parse_container, parse_pod, parse_subject
from workers.control_plane.nri.mux import FrameReader, pack_frames
from workers.control_plane.nri.session import PluginSession
from workers.control_plane.nri.synchronization import Synchronization
from workers.control_plane.nri.ttrpc import HEADER, MessageReader, pack_request, parse_response
from workers.unit import cgroup_file, cgroup_v1, cgroup_v2
from workers.unit.value import VALUES_COUNT

ROOT = Path(__file__).parents[2]
SMALL, LARGE = 1_000, 12_000
# Linear is 12, quadratic 144.
RATIO_MAX = 40
# What takes less for the large text cannot be told from noise; the square of it would take a hundred times as long.
FREE_SECONDS = 0.004
TRIES = 4


def seconds(look: Callable[[str], object], text: str) -> float:
    """The CPU time of one look, which is this thread's alone."""
    begin = time.thread_time()
    look(text)
    return time.thread_time() - begin


def assert_linear(look: Callable[[str], object], unit: str, prefix: str = "") -> None:
    """Twelve times the text takes about twelve times as long: the best of a few looks, since any may be disturbed."""
    small, large = ((prefix + unit * (length // len(unit) + 1))[:length] for length in (SMALL, LARGE))
    took = []
    for _ in range(TRIES):
        took.append((seconds(look, large), seconds(look, small)))
        bound = RATIO_MAX * max(FREE_SECONDS / 16, *(each[1] for each in took))
        if min(each[0] for each in took) <= max(FREE_SECONDS, bound):
            return
    raise AssertionError(f"{unit!r}: {took}")


# ---- command lines -------------------------------------------------------------------------------

PIECES = (
    "x",
    "-",
    "=",
    ":",
    "'",
    '"',
    "\\",
    " ",
    ",;",
    "@",
    "/",
    "({<",
    "\0",
    "--password",
    "pwd",
    "key.",
    "authorization:",
    "bearer ",
    "basic ",
    "eyJ",
    "sk-",
    "://",
    "http://a:",
    "mysql ",
    "curl ",
    "-u",
    "-p",
    "vault login ",
    "a/b",
    "-----BEGIN PRIVATE KEY-----",
    "set ",
    "Cookie: a;",
    "identified by ",
    "a:b",
    "1//0",
)


@pytest.mark.parametrize("first", PIECES)
def test_masking_is_linear_in_the_bytes_read(first: str) -> None:
    """Each piece of a secret's surroundings with each other one, again and again."""
    for second in PIECES[PIECES.index(first) :]:
        assert_linear(lambda text: secret.masked(text.encode()), first + second)
    assert_linear(lambda text: secret.masked(text.encode()), first, prefix='"')


@pytest.mark.parametrize("file", [*cgroup_v2.FILES, *cgroup_v1.files(100)], ids=lambda file: file.name)
def test_files_of_cgroups_are_read_in_linear_time(file: cgroup_file.CgroupFile) -> None:
    """A line, its label, a number, again and again."""

    def look(text: str) -> None:
        with suppress(KernelFormatError):
            file.parse(text.encode(), [None] * VALUES_COUNT)

    for unit in ("8:0 rbytes=1 wbytes=2 rios=3 wios=4\n", "8:0 Read 5\n", "\nshmem ", "\ntotal_rss ", " total=", "9", "\n", " "):
        for prefix in (
            "",
            "anon 1\n",
            "usage_usec 1\nuser_usec 1\nsystem_usec 1\n",
            "cache 1\ntotal_cache 1\n",
            "some ",
            "low 0\n",
        ):
            assert_linear(look, unit, prefix)


@pytest.mark.parametrize("shown", ["program", "masked", "full"])
def test_a_long_argument_is_a_command_line_like_others(shown: str) -> None:
    """Four thousand letters, in one word and in many."""
    for unit in ("x", "x ", "x\0", "\0", "\x01", "\xe9", "--password\0"):
        assert_linear(lambda text: parse_command_line(text.encode(), bytes_max=4096, shown=shown), unit)


@pytest.mark.parametrize(
    "arguments",
    ["/usr/sbin/sshd\0-D", "nginx: worker process", "/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0" + "0a" * 32],
)
def test_the_usual_command_line_is_only_looked_through_for_signs(arguments: str) -> None:
    """Nothing in it can be a secret: it is the same object, so nothing was searched, split or joined."""
    data = arguments.encode()
    assert secret.masked(data) is data


@pytest.mark.parametrize("first", ["", "vllm\0serve\0", "llama-server\0-m\0", "sh\0-c\0", "python\0", "tini\0"])
def test_a_servers_command_line_is_read_in_linear_time(first: str) -> None:
    """Words, options, separators, quotation marks and names of servers, again and again."""
    for unit in (
        "x",
        "\0",
        "a\0",
        "--model\0",
        "--model=",
        "-m ",
        "'\"",
        "; ",
        "&& vllm serve ",
        "vllm\0",
        "/",
        "hf://",
        "models--",
        "-Q4_K",
    ):
        assert_linear(lambda text: model_by_arguments(text.encode()), unit, prefix=first)
        assert_linear(lambda text: variables_wanted(text.encode()), unit, prefix=first)
        assert_linear(lambda text: parse_environment(text.encode(), frozenset({b"MODEL_ID"})), unit, prefix=first)


# ---- every pattern of the source -----------------------------------------------------------------

# Text that is almost what each pattern looks for, again and again. Of those that meet no foreign text, why.
HOSTILE: dict[str, tuple[str, ...]] = {
    "agent/model/secret_value.py": ("\\", '"', "'", '"\\', ",a", ",a.", "){", "\\\\", "x", "--a-"),
    "agent/model/secret_name.py": (
        "passpass",
        "api_",
        "secret-key.",
        "key\\",
        " ",
        "token ",
        "-no-",
        "set\0-c\0",
        "sh\0-",
        "x" * 9 + ":",
    ),
    "agent/model/secret_shape.py": (
        "eyJ",
        "sk-ant-",
        "1//0",
        "0" * 9 + ":AA",
        "a.atlasv1.",
        "basic ",
        "identified with a ",
        "a:",
        "a:b@",
        "=a:",
        ":thin:a/",
    ),
    "agent/model/secret_option.py": ("x ", "a/", "userid=a/", "$", "`"),
    "agent/model/cgroup_path.py": ("a-", "0", "0a-", "pod", "kubepods-", "\\x2d", "\\x", "pod0-"),
    "workers/control_plane/container_runtime/cgroup_place.py": ("0", "0a", "cri-containerd-", "a-", ".scope", ":"),
    "agent/model/host.py": ("a", "a.", "[", "[::", "[::%a", "1.", "255.", ":", ":1"),
    "agent/model/service_variable.py": (
        "A",
        "_",
        "A_",
        "EVERGAUGE_",
        "EVERGAUGE_A_PORT_",
        "_PORT_1_TCP",
        "_ENV_",
        "tcp://",
        "/a/",
        "/",
    ),
    "agent/model/toml.py": (" (at line ", " (at line 1, column ", "1", " (at end of document", ")"),
    "agent/store/layout.py": ("/", "a", " "),
    "agent/merger_setting.py": ("a", "a.", "[::", ":9", "redis://", "a@", "/", ","),
    "agent/lake/path.py": ("a", "a/", "_", "=", ".", "date="),
    "agent/lake/mark_form.py": ("0", "|", "0|"),
    "workers/export/kafka/sent_mark.py": ("0", "a", "-"),
    "workers/export/kafka/verdict.py": (" (after ", "[thrd:", "]: ", "/bootstrap", "/1", "TxnCoordinator: ", "a"),
    "workers/merger/kafka_reader.py": (" (after ", "[thrd:", "]: ", "/bootstrap", "/1", "GroupCoordinator: ", "a"),
    "agent/endpoint.py": ("http://", "a", ":", "[", "::", "0", "/", "@", "a."),
    "workers/export/file/rotated.py": ("a", "-", "a-00000000.", "_", ".", "/"),
    "workers/export/http_answer.py": ("HTTP/1.1 200 ", "a", " ", "0", ";", "\t", "Sun, 06 Nov 1994 08:49:37 GMT"),
    "workers/export/http_option.py": ("a", " ", "\t", "!", "é", ": "),
    "agent/object/refusal.py": ("non-2xx status code: ", "<Code>", "a", "</Code>", "kind: ", "kind: Timeout"),
    "agent/object/place.py": ("s3://", "/", "a", ".", "-", "a/"),
    "agent/store/segment.py": ("a-", "-", "0", "20260101T000000Z-", ".spool"),
    "agent/model/timebase.py": ("1", "1.", ".1", "1m"),
    "agent/model/container_engine.py": (
        "a-",
        "0",
        "docker-",
        "0a",
        "lxc.payload.",
        "/",
        "job_1/step_",
        "machine-",
        "\\x2d",
        ".scope",
    ),
    "agent/cli/moment.py": ("1", "-1h", "2024-01-31", "T03:12", ":", ".1", "+01:00", "a"),
    "agent/cli/filter_bounds.py": ("(", "timestamp ", "1", "1.", "''", '""', "optional:", " "),
    "agent/cli/verify.py": ("1", "1-", "2026-01-"),
    "agent/model/glob.py": ("a", "[", "]", "?"),
    "agent/cli/query_database.py": ("duckdb_", "pragma_ ", "show", " "),
    "agent/cli/statement.py": ("Table with name ", "Table with name x does not ", "x"),
    "workers/http/request.py": ("GET ", "a", "a:", "a: ", "\r", "\r\n", "https://", "A A HTTP/1", "x=%41&"),
    "workers/http/query.py": ("a", "%41", "%", "\x00", "%f0"),
    "workers/http/static_files.py": ("a", ".", "a.", "-"),
    "workers/http/event.py": ("a", "-", "a-", "0", "\r\n"),
    "workers/gateway/metrics_format.py": ("0.", "1.0"),
    "workers/resctrl/task_list.py": ("Error while processing task ", "1"),
    "workers/resctrl/emulator/command.py": ("0x", "-", "0", "f", "0-", "1-1"),
    "workers/resctrl/name.py": ("-", "-0a", "0", "\n"),
    "workers/resctrl/info_file.py": ("[a", "a_", "]", "0", "[a]"),
    "workers/resctrl/reader.py": ("mon_", "_1", "mon_sub_", "_1_", "1"),
    "workers/resctrl/cache.py": ("cpu", "cpu1", "index", "1", "1K"),
    "agent/model/served_model_name.py": ("0", "f", "q4_", "iq2_", "-00001-of-", "_0", "bf16", "mxfp4"),
    "agent/model/engine_load.py": ("a", 'a="', 'a="b",', "{", "}", "\\\\", " ", "1", "1e", "inf", "vllm:a{"),
    "agent/store/origin_form.py": ("a", "_", "0"),
    "workers/unit/model/http_reply.py": ("HTTP/1.1 200", " ", "f", ";", "a"),
    "workers/writer/foreign.py": ("0", "f", "a"),
    "agent/model/mountinfo.py": ("\\", "\\0", "\\040"),
    "workers/host/disk.py": ("1 ", " ", "1", "\n", "1 1 a", " 1 1 a 1"),
    "workers/host/memory.py": ("pgsteal_", "pgscan_kswapd", "_dma", "pg", "direct_"),
    "workers/writer/quota.py": ("a-", "20260101T000000Z-", "-20260101T000000Z-0a0a0a0a0a0a", "date=", "-"),
}
# For a file that is not listed yet: the test above asks for its own.
COMMON = ("a", "0", "a-", "0-", "/", ".", " ", "_")
# Patterns that a loop goes over.
HANDED_ON = ("_PRIVATE_KEY", "_WEBHOOK")
PACKAGES = ("agent", "supervisor", "workers")


def sources_with_patterns() -> Iterator[str]:
    """Every file of the source that uses regular expressions or globs."""
    for folder in PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if {"re", "fnmatch", "glob"} & set(names):
                    yield str(path.relative_to(ROOT))
                    break


def test_every_file_with_patterns_is_listed() -> None:
    """A new pattern over foreign text comes with text that is hostile to it."""
    assert set(sources_with_patterns()) - set(HOSTILE) == set()


def uses(path: str) -> tuple[set[str], list[tuple[str, str | bytes]]]:
    """The names whose pattern a file looks for at every place of a text, and patterns that it hands to `re` where it uses them."""
    searched: set[str] = set()
    inline: list[tuple[str, str | bytes]] = []
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), function), [ast.Constant(str() | bytes() as text), *_]) if (
                function != "compile"
            ):
                inline.append((function, text))
            case ast.Attribute(ast.Name(name), "search" | "finditer" | "findall" | "sub" | "split"):
                searched.add(name)
    return searched, inline


def full(pattern: "re.Pattern[Any]", text: Any) -> None:
    """The pattern at the text's beginning, and over all of it."""
    pattern.match(text)
    pattern.fullmatch(text)


def everywhere(pattern: "re.Pattern[Any]", text: Any) -> None:
    """The pattern at every place of the text."""
    for _ in pattern.finditer(text):
        pass


def use(look: Callable[["re.Pattern[Any]", Any], None], pattern: "re.Pattern[Any]", text: str) -> None:
    """Look with a pattern of text or of bytes."""
    look(pattern, text if isinstance(pattern.pattern, str) else text.encode())


@pytest.mark.parametrize("path", sorted(sources_with_patterns()))
def test_every_pattern_is_linear(path: str) -> None:
    """Used as the source uses it, over its own hostile text, and over that mixed with letters."""
    searched, inline = uses(path)
    looks = [(full if function in ("match", "fullmatch") else everywhere, re.compile(text)) for function, text in inline]
    for name, value in vars(import_module(path.removesuffix(".py").replace("/", "."))).items():
        for pattern in value.values() if isinstance(value, dict) else [value]:
            if isinstance(pattern, re.Pattern):
                # One that is handed on as an argument counts as looked for everywhere.
                looks.append((everywhere if name in searched or name in HANDED_ON else full, pattern))
    for (look, pattern), unit in product(looks, HOSTILE.get(path, COMMON)):
        for text in (unit, unit + "a"):
            assert_linear(partial(use, look, pattern), text)


# ---- what takes foreign text beside them ---------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        readable,
        lambda text: readable(text.encode(), 10_000),
        cgroup_path.unit_of,
        lambda text: cgroup_path.parse_proc_cgroup(text.encode()),
        lambda text: is_named("process", text),
        lambda text: Glob("*app*app*app*web-7").matches(text),
        canonical_name,
        blob_of,
        name_of_manifest,
        lambda text: model_by_title(text.encode()),
        lambda text: parse_manifest(text.encode()),
        lambda text: parse_answer(text.encode()),
        lambda text: Glob("*" * 16 + "?[a-z]*" * 8).matches(text),
    ],
)
def test_what_takes_foreign_text_is_linear(look: Callable[[str], object]) -> None:
    """Names, paths, statements, globs."""
    for unit in ("a", "/", "app", "web-", "\x1b", "kubepods/pod0-", "0::/a\n", "process", "_", "a/b-c.slice/"):
        assert_linear(look, unit)


def in_pieces(text: str, size: int) -> Iterator[bytes]:
    """The text's bytes, some at a time."""
    data = text.encode("latin-1")
    return (data[at : at + size] for at in range(0, len(data), size))


def hear_frames(text: str, size: int) -> None:
    """Frames of a container runtime, as they arrive."""
    reader = FrameReader((1, 2))
    for piece in in_pieces(text, size):
        reader.read(piece)


def hear_message(text: str, size: int) -> None:
    """One message of a container runtime that is as long as the text."""
    reader = MessageReader()
    reader.read(HEADER.pack(len(text), 1, 1, 0))
    for piece in in_pieces(text, size):
        reader.read(piece)


def hear_synchronization(text: str, size: int) -> None:
    """The content of one message, as it arrives."""
    found = Synchronization(SessionCounters())
    for piece in in_pieces(text, size):
        found.add_piece(piece)
    found.end_part()


def hear_calls(text: str) -> None:
    """As many calls as the text has letters / 8, all at once."""
    calls = range(1, len(text) // 4, 2)
    PluginSession().receive(b"".join(pack_frames(1, pack_request(stream, "", "", b"")) for stream in calls))


@pytest.mark.parametrize(
    "look",
    [
        lambda text: hear_frames(text, 1),
        lambda text: hear_frames(text, 1_000_000),
        lambda text: hear_message(text, 1),
        lambda text: hear_message(text, 100),
        hear_calls,
        lambda text: parse_pod(text.encode("latin-1"), SessionCounters()),
        lambda text: parse_container(text.encode("latin-1")),
        lambda text: parse_subject(text.encode("latin-1"), is_state_change=True),
        lambda text: parse_configuration(text.encode("latin-1")),
        lambda text: parse_response(text.encode("latin-1")),
        lambda text: hear_synchronization(text, 1),
        lambda text: hear_synchronization(text, 1_000_000),
    ],
)
def test_what_a_container_runtime_sends_is_linear(look: Callable[[str], object]) -> None:
    """Bytes one at a time or all at once; messages that are one field again and again, each as short as a field can be."""
    # Empty frames and frames of two bytes; empty fields 1, 2, 3, 5, 8, 11; a pod with an id.
    for unit in ("\0\0\0\1\0\0\0\0", "\0\0\0\1\0\0\0\2ab", "\x0a\0", "\x12\0", "\x1a\0", "\x2a\0", "\x42\0", "\x5a\0"):
        assert_linear(partial(forgiving, look), unit)
    for unit in ("\x0a\3\x0a\1a", "\x12\6\x0a\1a\x12\1b", "\x2a\6\x0a\1a\x12\1b"):
        assert_linear(partial(forgiving, look), unit)


def forgiving(look: Callable[[str], object], text: str) -> None:
    """What is no message is refused where it ends to be one."""
    with suppress(ProtocolError):
        look(text)


def test_the_modules_of_masking_are_all_here() -> None:
    """Each is listed above."""
    modules = (secret_name, secret_option, secret_shape, secret_value)
    assert {f"{module.__name__.replace('.', '/')}.py" for module in modules} <= set(HOSTILE)
