"""One call of agentctl: its command line, the streams it prints to and the folders it means."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence

from agent.cli.option import Command, Line
from agent.cli.render import COLOUR_OF_STATE, GAP, TEXT_COLUMNS, TextColumn, escape, is_colourful, table
from agent.cli.terminal_width import width_of
from agent.cli.width import display_width, wrapped
from agent.model.errors import BusyError, MisuseError
from agent.paths import SYSTEM_RUNTIME_DIR, SYSTEM_STATE_DIR, default_runtime_dir, default_state_dir

# `typing` costs 3 ms at every start; checkers read this name as true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from agent.cli.output import Output
    from agent.model.control.document import Document

    D = TypeVar("D", bound=Document)

# Asking a running agent for its state folder is optional: a hung agent must not use up the command's own time.
HELLO_SECONDS = 1.0
# A description cannot be read in fewer columns.
TEXT_COLUMNS_LEAST = 20


class Call:
    """What a command is called with. `deadline` is the monotonic second at which it must have ended."""

    def __init__(self, command: Command, line: Line, environment: Mapping[str, str], output: "Output", warnings: "Output") -> None:
        self.command = command
        self.words = line.words
        self.values = line.values
        self.environment = environment
        self.output = output
        self.warnings = warnings
        self.timeout_seconds = self.number("--timeout", command.timeout_seconds)
        self.deadline = time.monotonic() + self.timeout_seconds

    def text(self, name: str) -> str | None:
        """The text of an option, None where it was not given."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str]:
        """The texts of an option that may be given again."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def whole(self, name: str, otherwise: int) -> int:
        """The whole number of an option."""
        value = self.values.get(name)
        return value if isinstance(value, int) else otherwise

    def has(self, name: str) -> bool:
        """Whether an option was given."""
        return name in self.values

    @property
    def wants_json(self) -> bool:
        """Whether one JSON document is wanted instead of a table."""
        return self.has("--json")

    def number(self, name: str, otherwise: float) -> float:
        """The number of an option."""
        value = self.values.get(name)
        return value if isinstance(value, float) else otherwise

    def seconds_left(self) -> float:
        """The seconds until the deadline. *Range:* 0 after it."""
        return max(0.0, self.deadline - time.monotonic())

    def warn(self, text: str) -> None:
        """Write one line to standard error."""
        self.warnings.write(f"agentctl: {escape(text)}\n")

    @property
    def runtime_dir(self) -> str:
        """The folder of the sockets: option, environment, default."""
        return self.text("--runtime-dir") or default_runtime_dir(dict(self.environment))

    @property
    def control_socket(self) -> str:
        """The path of the control socket. A folder on the command line precedes the socket that the environment names."""
        named = None if self.has("--runtime-dir") else self.environment.get("EVERGAUGE_CONTROL_SOCKET")
        return named or os.path.join(self.runtime_dir, "control.sock")

    @property
    def _system_socket(self) -> str:
        """The control socket of the system's agent, where the user names no place; empty where it is the user's own socket."""
        is_named = self.has("--runtime-dir") or any(
            self.environment.get(name) for name in ("EVERGAUGE_RUNTIME_DIR", "EVERGAUGE_CONTROL_SOCKET")
        )
        return "" if is_named or os.geteuid() == 0 else os.path.join(SYSTEM_RUNTIME_DIR, "control.sock")

    def state_dir(self) -> str:
        """The folder of the data: option, environment, the running agent's, default. *Raises:* PermissionRefused, MisuseError."""
        named = self.text("--state-dir") or self.environment.get("EVERGAUGE_STATE_DIR")
        if named:
            return named
        from agent.model.errors import PermissionRefused

        own = default_state_dir(dict(self.environment))
        refused = None
        try:
            said = self._hello().get("state_dir")
        except PermissionRefused as failure:
            said, refused = None, failure
        if isinstance(said, str) and said:
            return said
        if self._system_socket and os.path.isdir(own):
            return own
        if refused is not None:
            # Its sentence says whose data they are, and how to get access.
            raise refused
        # Where the system's agent does not run, its data can still be read by a user with access.
        return SYSTEM_STATE_DIR if self._system_socket and os.path.isdir(SYSTEM_STATE_DIR) else own

    def hello(self) -> "dict[str, object]":
        """What a running agent says about itself; empty when none answers, which is no failure here.

        *Raises:* MisuseError for a path that no agent can have its socket at.
        """
        from agent.model.errors import PermissionRefused

        try:
            return self._hello()
        except PermissionRefused:
            return {}

    def _hello(self) -> "dict[str, object]":
        """As `hello`. *Raises:* PermissionRefused as well."""
        from agent.cli.control_client import ask_here_or_there
        from agent.model.errors import EvergaugeError, PermissionRefused

        try:
            seconds = min(HELLO_SECONDS, self.timeout_seconds)
            return ask_here_or_there(self.control_socket, self._system_socket, "hello", {}, seconds)
        except (MisuseError, PermissionRefused):
            raise
        except EvergaugeError:
            return {}

    def ask(self, operation: str, arguments: "dict[str, object] | None" = None) -> "dict[str, object]":
        """The agent's answer, within the deadline. *Raises:* EvergaugeError with a sentence and an exit code."""
        from agent.cli.control_client import ask_here_or_there

        if not self.seconds_left():
            problem = f"its {self.timeout_seconds:g} s were over before the agent was asked"
            raise BusyError(operation, problem, "give a longer --timeout")
        return ask_here_or_there(self.control_socket, self._system_socket, operation, arguments or {}, self.seconds_left())

    def read(self, kind: "type[D]", answer: "dict[str, object]") -> "D":
        """The agent's answer as the document it must be. *Raises:* ProtocolError naming the field that is not as agreed."""
        from agent.model.control.answer import ONE_VERSION
        from agent.model.control.document import decode

        return decode(kind, answer, self.command.name, ONE_VERSION)

    def show(self, lines: Iterable[str]) -> None:
        """Print lines."""
        for line in lines:
            self.output.write(line + "\n")

    def show_json(self, document: object) -> None:
        """Print one JSON document: on one line for programs, indented for eyes."""
        import json

        # JSON escapes all that is not ASCII and every control character but this one.
        text = json.dumps(document, indent=2 if self.output.isatty() else None).replace("\x7f", "\\u007f")
        self.output.write(text + "\n")

    def show_table(self, columns: "Sequence[TextColumn]", rows: "Iterable[Sequence[str]]") -> None:
        """Print an aligned table; states have their colours on a terminal."""
        paint = COLOUR_OF_STATE if is_colourful(self.output, self.environment) else {}
        self.show(table(columns, rows, width=width_of(self.output), paint=paint))

    def text_columns(self) -> int:
        """Where running text is wrapped."""
        return width_of(self.output) or TEXT_COLUMNS

    def show_wrapped_table(self, columns: "Sequence[TextColumn]", rows: "Sequence[Sequence[str]]") -> None:
        """Print a table whose last column continues on further lines instead of being cut."""
        titles = [column.title for column in columns]
        leading = sum(max(map(display_width, values)) + len(GAP) for values in list(zip(titles, *rows, strict=True))[:-1])
        room = max(TEXT_COLUMNS_LEAST, self.text_columns() - leading)
        lines: list[Sequence[str]] = []
        for row in rows:
            texts = wrapped(row[-1], room) or [""]
            lines.append([*row[:-1], texts[0]])
            lines += [[*([""] * (len(columns) - 1)), text] for text in texts[1:]]
        self.show_table(columns, lines)
