"""Headers that say who we are, from files and the environment. They are in no sentence, log line or exception."""

from agent.model.errors import ConfigError
from agent.secret_text import text_of
from workers.export.http_option import HEADER_VALUE, HttpSetup, checked_header

HEADERS_MAX = 64
HIDDEN = "…"


class HttpCredentials:
    """What a request carries beside its content."""

    def __init__(self, setup: HttpSetup) -> None:
        self._setup = setup
        self._headers: dict[str, str] = {}
        self._secrets: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """As last read."""
        return self._headers

    def read(self) -> bool:
        """Read all of them again; whether anything is another than before. *Raises:* ConfigError: what is wrong, and with what."""
        setup = self._setup
        headers = dict(setup.secret_headers)
        password = ""
        if setup.headers_file:
            headers |= _parse_headers(text_of(setup.headers_file, "headers_file"))
        if setup.token_file:
            headers["Authorization"] = "Bearer " + _one_line(text_of(setup.token_file, "token_file"), "token_file")
        elif setup.token_variable:
            found = setup.variables.get(setup.token_variable, "")
            if not found:
                raise ConfigError("token_variable", f"the agent has no variable {setup.token_variable}", "set it for the agent")
            headers["Authorization"] = "Bearer " + _one_line(found, "token_variable")
        elif setup.username:
            password = _password(setup)
            headers["Authorization"] = "Basic " + _basic(setup.username, password)
        is_changed = headers != self._headers
        self._headers = headers
        # A server has the password itself, and not only how it travels.
        words = {password, *(word for value in headers.values() for word in (value, value.partition(" ")[2]))}
        self._secrets = tuple(sorted((word for word in words if len(word) > 3), key=len, reverse=True))
        return is_changed

    def hidden(self, text: str) -> str:
        """The text of a server without what it may have repeated of ours."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _one_line(text: str, key: str) -> str:
    word = text.strip()
    if HEADER_VALUE.fullmatch(word) is None:
        raise ConfigError(key, "it is empty, or has several lines or control characters", "put the token there, on one line")
    return word


def _password(setup: HttpSetup) -> str:
    # Spaces may belong to a password, line ends of an editor do not.
    return text_of(setup.password_file, "password_file").rstrip("\r\n")


def _basic(username: str, password: str) -> str:
    from binascii import b2a_base64

    return b2a_base64(username.encode() + b":" + password.encode("latin-1"), newline=False).decode()


def _parse_headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(":")
        headers[name.strip()] = checked_header(name.strip(), value.strip(), f"headers_file, line {number}")
        if len(headers) > HEADERS_MAX:
            raise ConfigError("headers_file", f"more than {HEADERS_MAX} headers", "take some out")
    return headers
