"""Prints the banner: looks at the host in a child process, then writes the few lines of `agent.daemon.banner`."""

import os
import shlex
import signal
import sys
from collections.abc import Mapping

from agent.clock import SystemClock
from agent.config import (
    CONTROL_PLANE_INTERVAL,
    GATEWAY_ADDRESS,
    GATEWAY_PORT,
    RUNTIME_DIR,
    SEAL_INTERVAL,
    STORAGE_QUOTA,
    Config,
)
from agent.daemon.banner import banner, opening
from agent.daemon.text_output import TextOutput
from agent.doctor.child import CODE, decode_findings, encode_order
from agent.gateway_setting import PAGE, TLS_CERT_FILE, TOKEN_FILE, TRUSTED_PROXY
from agent.model.foreign import readable
from agent.model.timebase import S, format_duration
from agent.paths import default_runtime_dir
from supervisor.core.report import About
from supervisor.shell.loop import Settling
from supervisor.shell.poller import Register
from supervisor.shell.short_child import ShortChild
from workers import registry
from workers.http.host import is_beyond_loopback

# The look at the host takes a tenth of a second; what has not come back after this may never do.
LOOK_NS_MAX = 2 * S
PROC_READ_BYTES = 64 << 10


class BannerPrinter:
    """Prints what an agent says once, when its start is over. Nothing in it waits."""

    def __init__(
        self,
        config: Config,
        about: About,
        clock: SystemClock,
        output: TextOutput,
        *,
        is_shared: bool,
        ended_by: str,
        for_ns: int | None,
    ) -> None:
        """`is_shared`: the log writes to this output too; otherwise it ends with the banner, and its thread with it."""
        self._config = config
        self._about = about
        self._clock = clock
        self._output = output
        self._is_shared = is_shared
        self._ended_by = ended_by
        self._for_ns = for_ns

    def on_settled(self, reasons: tuple[str, ...], register: Register) -> Settling:
        """Print that the start is over, and look at the host; the rest follows when that has ended or taken too long."""
        now_ns = self._clock.now_ns()
        about = self._about
        first = opening(
            version=about.version,
            host=about.host,
            ended_by=self._ended_by,
            reasons=reasons,
            took_ns=now_ns - about.started_at_ns,
        )
        self._output.put(first.encode(errors="replace") + b"\n")

        def print_banner(answer: bytes | None) -> None:
            self._output.put(self._text(answer).encode(errors="replace") + b"\n")
            if not self._is_shared:
                self._output.end()

        look = None
        try:
            order = encode_order(self._config)
            look = ShortChild(CODE, order, register=register, until_ns=now_ns + LOOK_NS_MAX, on_answer=print_banner)
        except OSError:
            # No process or descriptor is left for the look; measuring needs neither.
            print_banner(None)
        return Settling(None if self._for_ns is None else now_ns + self._for_ns, look)

    def _text(self, answer: bytes | None) -> str:
        """The few lines of a start in the foreground: what is measured, what is not and why, where the data goes."""
        # Looked at by the child: this process touches no mount, whose program may have stopped.
        findings = decode_findings(answer)
        remarks = {finding.topic: finding.remark for finding in findings or ()}
        period = f"every {format_duration(self._config.of(CONTROL_PLANE_INTERVAL))}"
        pods = ", ".join(filter(None, ("pods, services and scopes of the cgroup tree", remarks.get("container runtime"), period)))
        samplers = [
            ", ".join(
                filter(None, (each.about, remarks.get(each.name), f"every {format_duration(self._config.of(each.interval))}"))
            )
            for each in registry.all_samplers()
            if each.is_wanted(self._config)
        ]
        return banner(
            measured=[*samplers, pods],
            findings=findings,
            data_dir=os.path.join(self._about.state_dir, "data"),
            seal_interval_ns=self._config.of(SEAL_INTERVAL),
            quota=self._config.show(STORAGE_QUOTA) if self._config.of(STORAGE_QUOTA) else "",
            agentctl=_agentctl(self._config),
            page=page_address(self._config),
        )


def page_address(config: Config) -> str:
    """Where a browser finds this node's page; "" where it is not served, or the system chooses the port."""
    address, port = config.of(GATEWAY_ADDRESS), config.of(GATEWAY_PORT)
    has_token = bool(config.of(TOKEN_FILE) and config.of(TLS_CERT_FILE))
    is_open = not is_beyond_loopback(address) or has_token or bool(config.of(TRUSTED_PROXY))
    if not address or not port or not config.of(PAGE) or not is_open:
        return ""
    scheme = "https" if config.of(TLS_CERT_FILE) else "http"
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}/"


def _agentctl(config: Config) -> str:
    """The command that calls agentctl for this agent: beside the program that was started, because a checkout's environment is
    not on PATH, and with the runtime folder where that is not the default."""
    words = [os.path.join(os.path.dirname(sys.argv[0]), "agentctl")]
    if config.of(RUNTIME_DIR) != os.path.abspath(default_runtime_dir(os.environ)):
        words += ["--runtime-dir", config.of(RUNTIME_DIR)]
    return shlex.join(words)


def how_to_end(environment: Mapping[str, str]) -> str:
    """What ends this agent, as the banner shows it: `Ctrl-C`, or a command."""
    if any(_is_in_foreground(each) for each in (0, 1, 2)) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        return "Ctrl-C"
    if "INVOCATION_ID" in environment and (unit := _unit()):
        return f"`systemctl stop {unit}`"
    return f"`kill {os.getpid()}`"


def _unit() -> str:
    """The service that this process runs in, by its control group; empty: none. *Source:* cgroups(7)."""
    try:
        with open("/proc/self/cgroup", "rb") as file:
            groups = [line.split(b":", 2)[-1] for line in file.read(PROC_READ_BYTES).splitlines()]
    except OSError:
        return ""
    names = [readable(group.rsplit(b"/", 1)[-1]) for group in groups if group.endswith(b".service")]
    return names[0].removesuffix(".service") if names else ""


def _is_in_foreground(descriptor: int) -> bool:
    """Whether it is a terminal whose Ctrl-C reaches this process. *Source:* tcgetpgrp(3)."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        # A terminal that is not the controlling one.
        return False
