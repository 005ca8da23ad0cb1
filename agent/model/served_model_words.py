"""The words of a command line: what a shell was told to run, and the options among them. PURE. Linear in the bytes."""

from collections.abc import Sequence

from msgspec import Struct

# A line of a person is far below this; a program can be given two megabytes.
COMMAND_LINE_BYTES_MAX = 256 << 10
WORDS_MAX = 8192
_SHELLS = frozenset({b"sh", b"bash", b"dash", b"ash", b"zsh", b"ksh"})
# Where one command of a script ends and the next begins.
_SEPARATORS = frozenset({b"&&", b"||", b"|", b";", b"&"})


class CommandWords(Struct, frozen=True):
    """The words of a command. `is_script`: a shell reads them, so they may hold what it will replace."""

    words: list[bytes]
    is_script: bool = False


def command_of(command_line: bytes) -> CommandWords:
    """The arguments of a process; of a shell with `-c` the words of the script, commands parted by an empty word."""
    words = command_line[:COMMAND_LINE_BYTES_MAX].rstrip(b"\0").split(b"\0", WORDS_MAX)[:WORDS_MAX]
    if base_name(words[0]) in _SHELLS:
        for at, word in enumerate(words[1:8], start=1):
            if word[:1] == b"-" and word[1:2] != b"-" and word.endswith(b"c") and at + 1 < len(words):
                return CommandWords([words[0], *_script_words(words[at + 1])], is_script=True)
    return CommandWords(words)


def base_name(word: bytes) -> bytes:
    """The last part of a path."""
    return word[word.rfind(b"/") + 1 :]


def options_of(arguments: Sequence[bytes], wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """The value of each wanted option, `--name value` or `--name=value`; of one that comes again the last. Empty: it has none.

    `--served_model_name` is written `--served-model-name`: the parsers of most servers take both.
    """
    found: dict[bytes, bytes] = {}
    for at, word in enumerate(arguments):
        if word[:1] != b"-":
            continue
        name, equals, value = word.partition(b"=")
        name = name.replace(b"_", b"-")
        if name not in wanted:
            continue
        if not equals:
            following = arguments[at + 1] if at + 1 < len(arguments) else b""
            value = b"" if following.startswith(b"-") else following
        found[name] = value
    return found


def _script_words(script: bytes) -> list[bytes]:
    words: list[bytes] = []
    for word in script.split(None, WORDS_MAX)[:WORDS_MAX]:
        if word == b"\\":
            continue
        bare = word.rstrip(b";")
        if bare in _SEPARATORS or not bare:
            words.append(b"")
            continue
        words.append(_unquoted(bare))
        if bare != word:
            words.append(b"")
    return words


def _unquoted(word: bytes) -> bytes:
    """`"x"` and `--model="x"` without their quotation marks."""
    return word.replace(b'"', b"").replace(b"'", b"") if b'"' in word or b"'" in word else word
