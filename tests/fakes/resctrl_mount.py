"""A real emulator process with its mount in a private folder: started, asked, ended; nothing of it is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from harness.waiting import DEADLINE_SECONDS, wait_until


def is_mounted(point: Path) -> bool:
    """Whether anything is mounted exactly there."""
    return any(line.split(" ")[1] == str(point) for line in Path("/proc/mounts").read_text().splitlines())


class EmulatedResctrl:
    """One `agentctl emulate-resctrl`. Use it as a context: leaving it ends the process and asserts that nothing is left.

    `mount` is where it is mounted; `options` are more options of the command, `names_valid="1s"` for `--names-valid 1s` and
    `host_cpus=True` for a switch.
    """

    def __init__(self, folder: Path, profile: str = "intel-2socket", scenario: str = "", **options: str | bool) -> None:
        self.mount = folder / "resctrl"
        self.socket = folder / "resctrl.sock"
        self._folder = folder
        self._profile = profile
        self._scenario = scenario
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.mount.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        code = self.end()
        left_mounted = is_mounted(self.mount)
        if left_mounted:
            subprocess.run(["umount", "--lazy", str(self.mount)], check=False, capture_output=True)
        if kind is None:
            assert code == 0, f"it ended with {code}:\n{self.output}"
            assert not left_mounted, "the mount was still there"
            assert not self.socket.exists(), "the control socket is still there"

    @property
    def output(self) -> str:
        """What it has written so far."""
        return (self._folder / "resctrl.output").read_text(errors="replace")

    def command_line(self) -> list[str]:
        """How it is started."""
        words = [sys.executable, "-c", "from agent.cli.main import main; raise SystemExit(main())", "emulate-resctrl"]
        words += ["--mount", str(self.mount), "--profile", self._profile, "--control", str(self.socket)]
        if self._scenario:
            path = self._folder / "scenario.toml"
            path.write_text(self._scenario)
            words += ["--scenario", str(path)]
        for name, value in self._options.items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words

    def start(self) -> None:
        """Start it, and wait until it is mounted."""
        with (self._folder / "resctrl.output").open("wb") as output:
            self.process = subprocess.Popen(self.command_line(), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(self._is_ready, "the emulator is mounted")
        except BaseException as failure:
            self.__exit__(type(failure))
            raise

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output}"
        return " is mounted at " in self.output

    def control(self, document: dict[str, Any]) -> dict[str, Any]:
        """What it answers to one document of its control socket. *Raises:* AssertionError with the problem that it reports."""
        answer = self.ask(document)
        assert "problem" not in answer, answer["problem"]
        return answer

    def ask(self, document: dict[str, Any]) -> dict[str, Any]:
        """As `control`, with the problem as an answer."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(DEADLINE_SECONDS)
            stream.connect(str(self.socket))
            stream.sendall(json.dumps(document).encode() + b"\n")
            with stream.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def groups(self) -> dict[str, dict[str, Any]]:
        """The truth of each group by its path, the root's is empty."""
        return {group["path"]: group for group in self.control({"do": "truth"})["groups"]}

    def make_group(self, path: str) -> Path:
        """Make a group, and give its folder."""
        (self.mount / path).mkdir()
        return self.mount / path

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal and give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """End it as a crash would: its mount stays, dead."""
        self.end(signal.SIGKILL)


def assign(group: Path, *thread_ids: int) -> None:
    """Write a comma list to a group's `tasks`, in one write. *Raises:* OSError."""
    descriptor = os.open(group / "tasks", os.O_WRONLY)
    try:
        os.write(descriptor, ",".join(map(str, thread_ids)).encode())
    finally:
        os.close(descriptor)


def tasks_of(group: Path) -> set[int]:
    """The threads that a group lists."""
    return set(map(int, (group / "tasks").read_text().split()))
