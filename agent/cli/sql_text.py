"""Names and texts as SQL takes them, and the one word of ours that the language keeps for itself. PURE."""

from collections.abc import Sequence

# Begins the operator AT TIME ZONE and the clause AT (VERSION => …); as a name DuckDB takes it only behind a point.
COLUMN_AT = "at"
NAME, COMMENT, OTHER = "name", "comment", "other"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever its letters."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def with_quoted_at(statement: str, tokens: Sequence[tuple[int, str]]) -> str:
    """The statement with every bare `at` that can only be the column in quotation marks.

    `tokens` are the words of the statement in order: where each begins, in bytes of UTF-8, and whether it is a `NAME` (or a
    keyword), a `COMMENT` or of another kind.
    """
    data = statement.encode()
    ends = [*(offset for offset, _ in tokens[1:]), len(data)]
    words = [
        (offset, kind, data[offset:end].strip().lower())
        for (offset, kind), end in zip(tokens, ends[: len(tokens)], strict=True)
        if kind != COMMENT
    ]
    made: list[bytes] = []
    copied = 0
    for index, (offset, kind, word) in enumerate(words):
        following = [text for _, _, text in words[index + 1 : index + 3]]
        is_operator = following == [b"time", b"zone"] or (following[:1] and following[0].startswith(b"("))
        if kind == NAME and word == COLUMN_AT.encode() and not is_operator:
            made += [data[copied:offset], b'"', data[offset : offset + 2], b'"']
            copied = offset + 2
    return b"".join([*made, data[copied:]]).decode()
