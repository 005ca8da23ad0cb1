"""Command lines as tables: what a command accepts, and the parser of all of them.

Refused: argparse, which with its sub-parsers costs 4 ms at every start, prints usage over several lines on stderr and
cannot take a global option on both sides of the command. It imports nothing but the errors.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.model.errors import MisuseError

# What an option's value is.
SWITCH, TEXT, WHOLE, NUMBER = "switch", "text", "whole", "number"
Value = bool | str | int | float | list[str]


class Option:
    """One option. `kind` says what its value is, `many` that it may be given again, `choices` which words it takes."""

    __slots__ = ("about", "choices", "kind", "many", "metavar", "name")

    def __init__(
        self, name: str, metavar: str, about: str, *, kind: str = TEXT, many: bool = False, choices: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.about = about
        self.kind = kind
        self.many = many
        self.choices = choices


class Argument:
    """One word behind the command; `required` words come before the others. `rest`: it is all words that follow."""

    __slots__ = ("about", "name", "required", "rest")

    def __init__(self, name: str, about: str, *, required: bool = True, rest: bool = False) -> None:
        self.name = name
        self.about = about
        self.required = required
        self.rest = rest


class Command:
    """One command: what it is called, takes and does. `timeout_seconds` is the deadline where none is given."""

    __slots__ = ("about", "arguments", "details", "examples", "name", "options", "run", "timeout_seconds")

    def __init__(
        self,
        name: str,
        run: "Callable[..., int]",
        *,
        about: str,
        examples: tuple[str, ...],
        arguments: tuple[Argument, ...] = (),
        options: tuple[Option, ...] = (),
        details: str = "",
        timeout_seconds: float = 5.0,
    ) -> None:
        self.name = name
        self.run = run
        self.about = about
        self.examples = examples
        self.arguments = arguments
        self.options = options
        self.details = details
        self.timeout_seconds = timeout_seconds


class Line:
    """A command line taken apart: the command's name ("" where none stands), its words, the options' values."""

    __slots__ = ("command", "values", "words")

    def __init__(self) -> None:
        self.command = ""
        self.words: list[str] = []
        self.values: dict[str, Value] = {}


GLOBAL_OPTIONS = (
    Option("--runtime-dir", "DIR", "folder of the agent's sockets (else EVERGAUGE_RUNTIME_DIR, else where agentd puts them)"),
    Option("--state-dir", "DIR", "folder of the agent's data (else EVERGAUGE_STATE_DIR, else what a running agent says)"),
    Option("--json", "", "print one JSON document instead of a table", kind=SWITCH),
    Option("--timeout", "SECONDS", "longest time to wait for an answer; then exit code 75", kind=NUMBER),
    Option("--version", "", "print the version and end", kind=SWITCH),
    Option("--help", "", "print the help of agentctl or of the command, and end", kind=SWITCH),
)


def parse_line(arguments: Sequence[str], find: Callable[[str], Command]) -> Line:
    """The command line that these words are.

    `find` gives a command by its name and raises MisuseError where there is none.
    *Raises:* MisuseError naming the word that does not fit.
    """
    line = Line()
    known = {option.name: option for option in GLOBAL_OPTIONS}
    pending = list(reversed(arguments))
    only_words = False
    while pending:
        word = pending.pop()
        if word == "--" and not only_words:
            only_words = True
        elif _is_option(word) and not only_words:
            _take_option(line, "--help" if word == "-h" else word, pending, known)
        elif not line.command:
            command = find(word)
            line.command = command.name
            known.update((option.name, option) for option in command.options)
        else:
            line.words.append(word)
    return line


def check_words(line: Line, command: Command) -> None:
    """*Raises:* MisuseError when words are missing or too many."""
    required = [argument for argument in command.arguments if argument.required]
    if len(line.words) < len(required):
        missing = required[len(line.words)].name
        raise MisuseError(command.name, f"{missing} is missing", f"`agentctl {command.name} --help` shows an example")
    takes_all = bool(command.arguments) and command.arguments[-1].rest
    if len(line.words) > len(command.arguments) and not takes_all:
        extra = line.words[len(command.arguments)]
        raise MisuseError(command.name, f"{extra!r} is one word too many", f"`agentctl {command.name} --help` shows its usage")


def near(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """A remedy that names the most similar known names; empty when none is similar."""
    # Imported here: a correct command line never needs it.
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=3)
    return f"did you mean {' or '.join(found)}?" if found else ""


def _is_option(word: str) -> bool:
    """Whether a word is an option. SQL may begin with a comment, `-- all of them`; it has white space, which options have not."""
    name = word.partition("=")[0]
    return word.startswith("-") and word != "-" and not any(map(str.isspace, name))


def _take_option(line: Line, word: str, pending: list[str], known: Mapping[str, Option]) -> None:
    name, equals, text = word.partition("=")
    option = known.get(name)
    if option is None:
        program = f"agentctl {line.command}" if line.command else "agentctl"
        remedy = near(name, known) or f"`{program} --help` lists them; options of a command stand behind its name"
        raise MisuseError(name, "there is no such option", remedy)
    if option.kind == SWITCH:
        if equals:
            raise MisuseError(name, "it takes no value", f"write {name} alone")
        line.values[name] = True
        return
    if not equals:
        if not pending:
            raise MisuseError(name, "its value is missing", f"write {name} {option.metavar}")
        text = pending.pop()
    value = _value(option, text)
    earlier = line.values.get(name)
    if not option.many:
        line.values[name] = value
    elif isinstance(earlier, list):
        earlier.append(text)
    else:
        line.values[name] = [text]


def _value(option: Option, text: str) -> Value:
    if option.choices and text not in option.choices:
        raise MisuseError(option.name, f"{text!r} is not accepted", f"write one of {', '.join(option.choices)}")
    try:
        if option.kind == WHOLE:
            return int(text)
        if option.kind == NUMBER:
            return _positive(text)
    except ValueError as cause:
        wanted = "a whole number" if option.kind == WHOLE else "a number above 0 and at most 86400"
        raise MisuseError(option.name, f"{text!r} is not accepted", f"write {wanted}") from cause
    return text


def _positive(text: str) -> float:
    number = float(text)
    # Not a number fails this comparison too.
    if not 0 < number <= 86_400:
        raise ValueError("out of range")
    return number
