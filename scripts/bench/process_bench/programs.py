"""The programs that are measured beside ours: what each reads of every process, and how it is started.

All look once a second at every process, write to nowhere, and run as their packages deliver them.
"""

import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from process_bench.toolchain import Toolchain

PORT = 19256
END_SECONDS = 10.0
SCRAPE_SECONDS = 5.0
PSUTIL = """
import psutil, time
while True:
    due = time.monotonic() + 1
    for process in psutil.process_iter({fields}):
        process.info
    time.sleep(max(0, due - time.monotonic()))
"""
FEW = ["pid", "ppid", "name", "status", "num_threads", "cpu_times", "memory_info"]
# What our rows have of the named processes, for all of them.
MANY = [*FEW, "uids", "cmdline", "io_counters", "num_ctx_switches"]
# A group for each process, so that it says as much of each as the others do.
BY_PID = "process_names:\n  - name: '{{.Comm}}:{{.PID}}'\n    cmdline: ['.+']\n"
BY_NAME = "process_names:\n  - name: '{{.Comm}}'\n    cmdline: ['.+']\n"
Start = Callable[[Toolchain, Path], "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class Program:
    """One rival. `package`: what must have been fetched; `start` None: one of ours, which `cost.py` starts."""

    fields: str
    package: str = ""
    start: Start | None = None
    # It looks when it is asked.
    is_scraped: bool = False


def _popen(words: list[str], **environment: str) -> "subprocess.Popen[bytes]":
    # A pipe that stays open: apps.plugin ends with its standard input.
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment or None
    )


def _netdata(*more: str) -> Start:
    def start(toolchain: Toolchain, _folder: Path) -> "subprocess.Popen[bytes]":
        config = toolchain.unpacked("usr/lib/netdata/conf.d")
        return _popen(
            [toolchain.unpacked("usr/lib/netdata/plugins.d/apps.plugin"), "1", *more],
            NETDATA_STOCK_CONFIG_DIR=config,
            NETDATA_USER_CONFIG_DIR=config,
            LD_LIBRARY_PATH=toolchain.libraries,
        )

    return start


def _pidstat(toolchain: Toolchain, _folder: Path) -> "subprocess.Popen[bytes]":
    return _popen([toolchain.unpacked("usr/bin/pidstat"), "-u", "-r", "-d", "-w", "-p", "ALL", "1"])


def _atop(toolchain: Toolchain, folder: Path) -> "subprocess.Popen[bytes]":
    return _popen([toolchain.unpacked("usr/bin/atop"), "-w", str(folder / "atop.raw"), "1"])


def _exporter(config: str, *more: str) -> Start:
    def start(toolchain: Toolchain, folder: Path) -> "subprocess.Popen[bytes]":
        file = folder / "exporter.yaml"
        file.write_text(config)
        program = toolchain.unpacked("usr/bin/prometheus-process-exporter")
        return _popen([program, "-config.path", str(file), "-web.listen-address", f"127.0.0.1:{PORT}", *more])

    return start


def _psutil(fields: list[str]) -> Start:
    return lambda toolchain, _folder: _popen([toolchain.python, "-c", PSUTIL.format(fields=fields)])


PROGRAMS = {
    "evergauge": Program("stat or schedstat of all; for the named ones also io, command line, cgroup, user, PSS; exit records"),
    "apps.plugin": Program("stat, status, io, limits, open files; command line once", "netdata-core", _netdata()),
    "apps.plugin-no-files": Program(
        "stat, status, io, limits; command line once", "netdata-core", _netdata("without-files")
    ),
    "pidstat": Program("stat, status, io (-u -r -d -w)", "sysstat", _pidstat),
    "atop": Program("stat, status, io, command line, threads; exit records where it can", "atop", _atop),
    "process-exporter": Program(
        "as delivered, by name: stat, status, io, fd, threads, smaps", "prometheus-process-exporter", _exporter(BY_NAME), True
    ),
    "process-exporter-pids": Program(
        "by process: stat, status, io, fd", "prometheus-process-exporter",
        _exporter(BY_PID, "-gather-smaps=false", "-threads=false"), True,
    ),
    "psutil": Program("stat (name, state, parent, threads, CPU), statm", "psutil", _psutil(FEW)),
    "psutil-more": Program("the same, status (users, switches), command line, io", "psutil", _psutil(MANY)),
}  # fmt: skip


@contextmanager
def rival(program: Program, toolchain: Toolchain, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, running and (if it must be) scraped once a second; ended when the context ends."""
    assert program.start is not None
    process = program.start(toolchain, folder)
    is_over = threading.Event()
    scraper = threading.Thread(target=_scrape, args=(is_over,), daemon=True)
    try:
        if program.is_scraped:
            scraper.start()
        yield process
    finally:
        is_over.set()
        process.kill()
        process.wait(END_SECONDS)
        assert process.stdin is not None
        process.stdin.close()
        if program.is_scraped:
            scraper.join(END_SECONDS)


def _scrape(is_over: threading.Event) -> None:
    while not is_over.wait(1.0):
        # It may be starting, or slower than a second; what it cannot answer in time it is not asked again at once.
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=SCRAPE_SECONDS) as answer:
            answer.read()
