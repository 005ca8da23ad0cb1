"""A control socket that answers from a table, in a thread of the test: the agent's side of `agent.model.control`."""

import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from agent.model.control import PROTOCOL_VERSION

Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.error = {"code": code, "sentence": sentence, "exit": exit_code}


class FakeControlServer:
    """Answers each operation from `answers`: a result, or a function of the arguments that gives it or raises Refusal.

    `raw` replaces the bytes of every answer; `is_mute` keeps connections open without a word.
    """

    def __init__(self, runtime_dir: str, answers: dict[str, Answer], *, raw: bytes | None = None, is_mute: bool = False) -> None:
        self.path = os.path.join(runtime_dir, "control.sock")
        self.requests: list[dict[str, Any]] = []
        self._answers = answers
        self._raw = raw
        self._is_mute = is_mute
        self.held: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would leave the thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for stream in self.held:
            stream.close()
        os.unlink(self.path)

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            if self._is_mute:
                self.held.append(stream)
                continue
            with stream, stream.makefile("rb") as lines:
                if line := lines.readline():
                    self._answer(stream, line)

    def _answer(self, stream: socket.socket, line: bytes) -> None:
        request = json.loads(line)
        self.requests.append(request)
        answer = self._raw if self._raw is not None else json.dumps(self._document(request)).encode() + b"\n"
        try:
            stream.sendall(answer)
        except OSError:
            # Who asked has gone.
            return

    def _document(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._answers.get(request["op"])
        try:
            if answer is None:
                raise Refusal("no_such_operation", f"{request['op']}: there is no such operation", 64)
            result = answer(request["args"]) if callable(answer) else answer
        except Refusal as refusal:
            return {"v": PROTOCOL_VERSION, "ok": False, "error": refusal.error}
        return {"v": PROTOCOL_VERSION, "ok": True, "result": result}
