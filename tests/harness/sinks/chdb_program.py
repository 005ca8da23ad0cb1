"""A small HTTP server over chdb, as far as ClickHouse's own HTTP interface is used: the program of `harness.sinks.clickhouse`.

It is run by the interpreter of scripts/lab/engines, which has chdb and nothing of this project:
    python chdb_program.py FOLDER ADDRESS PORT USER PASSWORD
One statement at a time. Every parameter of a request that is not the interface's own is a setting of its statement.
"""

import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

_OWN = frozenset({"query", "wait_end_of_query", "user", "password", "database", "default_format"})
_SETTING = re.compile(r"[a-z0-9_]+")
_INSERT = re.compile(r"\s*INSERT\s+INTO\s+(?P<target>.+?)\s+FORMAT\s+(?P<format>\w+)\s*", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
# UNKNOWN_TABLE, UNKNOWN_DATABASE; SYNTAX_ERROR.
_NOT_FOUND, _BAD = frozenset({"60", "81"}), frozenset({"62"})


class Engine:
    """One session over a folder. What it said that it has stored is there after a SIGKILL too."""

    def __init__(self, folder: str) -> None:
        self._session = Session(os.path.join(folder, "data"))
        self._body = os.path.join(folder, "body")
        self._lock = threading.Lock()

    def run(self, statement: str, body: bytes, settings: dict[str, str]) -> bytes:
        """The bytes of an answer. *Raises:* what chdb raises."""
        with self._lock:
            if settings:
                self._session.query("SET " + ", ".join(f"{name} = {_text(value)}" for name, value in settings.items()))
            try:
                return self._run(statement, body)
            finally:
                if settings:
                    self._session.query("SET " + ", ".join(f"{name} = DEFAULT" for name in settings))

    def _run(self, statement: str, body: bytes) -> bytes:
        found = _INSERT.fullmatch(statement)
        if found is None:
            answer = self._session.query(statement, "TabSeparated")
            return bytes(answer.bytes() or b"")
        with open(self._body, "wb") as file:
            file.write(body)
        self._session.query(f"INSERT INTO {found['target']} FROM INFILE {_text(self._body)} FORMAT {found['format']}")
        return b""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine
    user: str
    password: str

    def do_GET(self) -> None:
        """`/ping`."""
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        """A statement, in the parameter `query` and the body together."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        words = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        who = self.headers.get("X-ClickHouse-User", "default"), self.headers.get("X-ClickHouse-Key", "")
        if who != (self.user, self.password):
            self._answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        settings = {name: value for name, value in words.items() if name not in _OWN and _SETTING.fullmatch(name)}
        statement = words.get("query") or body.decode()
        try:
            self._answer(200, self.engine.run(statement, body if "query" in words else b"", settings))
        except Exception as failure:  # noqa: BLE001  chdb raises several kinds, and each is the answer
            text = str(failure)
            code = _CODE.search(text)
            status = 404 if code and code[1] in _NOT_FOUND else 400 if code and code[1] in _BAD else 500
            self._answer(status, text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed of each request."""

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def main(folder: str, address: str, port: str, user: str, password: str) -> None:
    """Serve until killed."""
    Handler.engine, Handler.user, Handler.password = Engine(folder), user, password
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
