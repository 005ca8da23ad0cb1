"""The library of Kafka in an exporter's process: its producer, what it says, and how its errors are told.

It is imported and its threads are started in the worker, after the fork: they do not come over one. It prints nothing: what it has
to say arrives at `Heard`.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from agent.model.errors import ConfigError, ExitCode
from agent.model.timebase import S
from agent.secret_text import text_of
from workers.export.http_credential import HIDDEN
from workers.export.http_option import CA_FILE, CERT_FILE, KEY_FILE
from workers.export.kafka.option import PASSWORD_FILE, PASSWORD_VARIABLE
from workers.export.kafka.verdict import is_pausing, kafka_verdict
from workers.export.sink import SinkValues, Verdict

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, KafkaException, Message

# How long one call of the library waits before what it has heard meanwhile is looked at.
SLICE_SECONDS = 0.5
# Behind the time that a delivery has, which bounds each call of the library that keeps to it.
HANG_SECONDS = 2.0
ClientT = TypeVar("ClientT")
_RECOVERY = "metadata.recovery.strategy"
LibraryOptions = Mapping[str, Any]


class KafkaTrouble(Exception):
    """A delivery failed, and `verdict` says what becomes of it. `is_over`: this producer can do nothing more."""

    def __init__(self, verdict: Verdict, *, is_over: bool = True) -> None:
        super().__init__(verdict)
        self.verdict = verdict
        self.is_over = is_over


class Deadline:
    """A moment until which something may take."""

    def __init__(self, span_ns: int) -> None:
        self._at = time.monotonic() + span_ns / S

    @property
    def left_seconds(self) -> float:
        """How long it is until then; at least a little, since the library takes 0 for no wait at all."""
        return max(0.05, self._at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        return time.monotonic() >= self._at

    def slice(self) -> float:
        """How long the next call may wait."""
        return min(SLICE_SECONDS, self.left_seconds)


class HangGuard:
    """Ends the process where what it guards does not come back in time: its successor goes on where this one was.

    `send_offsets_to_transaction` may wait for ever for a coordinator that has moved, whatever time it is given (librdkafka 5456 and
    5511, seen with 2.16.0). Nothing but the end of the process ends that.
    """

    def __init__(self, span_ns: int, on_hang: Callable[[], None]) -> None:
        self._timer = threading.Timer(span_ns / S + HANG_SECONDS, on_hang)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_failure: object) -> None:
        self._timer.cancel()


def end_hung_process() -> None:
    """Say why, and end so that the supervisor starts another one."""
    print("the library of Kafka does not come back from a call; the worker starts again", file=sys.stderr, flush=True)
    os._exit(int(ExitCode.TRY_AGAIN))


class Heard:
    """What the library says of its connections and of messages, between two looks. `place`: the brokers, for sentences."""

    def __init__(self, place: str, secret: str) -> None:
        self.place = place
        self._secret = secret
        self.reason = ""
        self.has_lost = self.is_all_down = False
        # What ends all attempts of this client, until a person or a new client helps.
        self.final: Verdict | None = None
        self.refused: KafkaError | None = None

    def begin(self) -> None:
        """Forget what was said before."""
        self.has_lost = self.is_all_down = False
        self.reason, self.final, self.refused = "", None, None

    def on_error(self, error: "KafkaError") -> None:
        """What concerns all messages: connections, users, certificates."""
        name = error.name()
        if is_pausing(name) or error.fatal():
            self.final = self.verdict(error)
        elif name == "_ALL_BROKERS_DOWN":
            self.is_all_down = True
        else:
            # A connection that was closed or could not be made.
            self.has_lost, self.reason = True, error.str()

    def on_delivery(self, error: "KafkaError | None", _message: "Message") -> None:
        """What became of one message. The first that failed tells why."""
        if error is not None and (self.refused is None or self.refused.name() == "_PURGE_QUEUE"):
            self.refused = error

    def log(self, *_words: object) -> None:
        """A line of the library's own log: what matters of it arrives as an error too."""

    def verdict(self, error: "KafkaError") -> Verdict:
        """What an error means."""
        return kafka_verdict(error.name(), self.hidden(error.str()), self.place)

    def trouble(self, failure: "KafkaException") -> KafkaTrouble:
        """What an exception of the library means, after which its client is thrown away."""
        error: KafkaError = failure.args[0]
        if self.refused is not None and not error.fatal():
            error = self.refused
        return KafkaTrouble(self.final if self.final is not None and error.name() == "_TIMED_OUT" else self.verdict(error))

    def unreachable(self) -> Verdict:
        """What is said once nobody has answered in time."""
        return self.final or kafka_verdict("_TIMED_OUT", self.hidden(self.reason or "no answer in time"), self.place)

    def hidden(self, text: str) -> str:
        """The text of a broker without our password, if it repeats it."""
        return text.replace(self._secret, HIDDEN) if len(self._secret) > 3 else text


def read_secrets(values: SinkValues, variables: Mapping[str, str]) -> str:
    """The password that a section names; empty: none. Its other files are only looked at: the library says little of them.

    *Raises:* ConfigError, without anything of their content.
    """
    for option in (CA_FILE, CERT_FILE, KEY_FILE):
        if values.of(option):
            text_of(values.of(option), option.key)
    return _password(values, variables)


def _password(values: SinkValues, variables: Mapping[str, str]) -> str:
    path, variable = values.of(PASSWORD_FILE), values.of(PASSWORD_VARIABLE)
    if variable:
        found = variables.get(variable, "")
        if not found:
            raise ConfigError(PASSWORD_VARIABLE.key, f"the agent has no variable {variable}", "set it for the agent")
        return found
    if not path:
        return ""
    # Spaces may belong to a password, line ends of an editor do not.
    data = text_of(path, PASSWORD_FILE.key).rstrip("\r\n").encode("latin-1")
    try:
        found = data.decode()
    except UnicodeDecodeError:
        raise ConfigError(PASSWORD_FILE.key, f"{path} is no UTF-8", "write the password there, and nothing else") from None
    if not found or "\0" in found:
        raise ConfigError(PASSWORD_FILE.key, f"{path} is empty or has a zero byte", "write the password there, and nothing else")
    return found


def library_options(options: LibraryOptions, password: str, heard: Heard) -> dict[str, Any]:
    """What one of the library's clients is made with."""
    secret = {"sasl.password": password} if password else {}
    return {**options, **secret, "error_cb": heard.on_error, "logger": heard}


def made(client: Callable[[dict[str, Any]], ClientT], options: LibraryOptions, password: str, heard: Heard) -> ClientT:
    """One of the library's clients. *Raises:* KafkaException."""
    from confluent_kafka import KafkaException

    whole = library_options(options, password, heard)
    try:
        # Once all brokers were away, it would forget them, and wait for their coordinators for ever (librdkafka 5511). A session is
        # not kept over that anyway.
        return client({**whole, _RECOVERY: "none"})
    except KafkaException as failure:
        # Before librdkafka 2.11 there is no such option, and nothing is forgotten.
        if _RECOVERY not in failure.args[0].str():
            raise
        return client(whole)


def until_answered(ask: Callable[[float], object], serve: Callable[[], object], heard: Heard, deadline: Deadline) -> None:
    """Ask again until there is an answer. `ask` waits for so many seconds; `serve` has the library say what it has heard.

    *Raises:* KafkaTrouble once nobody can be reached, only a person can help, or the time is over.
    """
    from confluent_kafka import KafkaException

    while True:
        try:
            ask(deadline.slice())
            return
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
        serve()
        if error.fatal() or is_pausing(error.name()):
            raise KafkaTrouble(heard.verdict(error))
        if error.name() not in ("_TIMED_OUT", "_TRANSPORT"):
            heard.reason = error.str()
        if heard.final is not None or heard.is_all_down or deadline.is_over:
            # The connections go on by themselves, save with a password that is wrong: that is read again.
            raise KafkaTrouble(heard.unreachable(), is_over=heard.final is not None)
        time.sleep(0.01)
