"""s6: one scanner, and one small supervisor per service. Its second start comes after a second unless the service was ready."""

from pathlib import Path

from supervisors.rival import Bench, Rival, Variant

READY_DESCRIPTOR = 3
# Its scanner executes /usr/bin/s6-supervise by this very name: the unpacked one is laid over the system's folder, in a mount
# namespace of the scanner's own.
LAUNCH = 'mount -t overlay -o "lowerdir=$1:/usr/bin" overlay /usr/bin && exec s6-svscan -t0 "$2"'


class S6(Rival):
    """`is_ready_told`: the child says when it is ready, as s6 wishes."""

    def __init__(self, bench: Bench, count: int, *, is_ready_told: bool) -> None:
        super().__init__(bench, "s", count)
        self._is_ready_told = is_ready_told
        self._services = self.folder / "services"

    def prepare(self) -> None:
        """One folder per service; the child takes its name from it."""
        for name in self.names:
            (self._services / name).mkdir(parents=True)
            (self._services / name / "run").symlink_to(self.child)
            if self._is_ready_told:
                (self._services / name / "notification-fd").write_text(f"{READY_DESCRIPTOR}\n")

    def command_line(self) -> list[str]:
        """The scanner."""
        tools = str(Path(self.bench.toolchain.tool("s6-svscan")).parent)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", LAUNCH, "sh", tools, str(self._services)]

    def environment(self) -> dict[str, str]:
        """Its own libraries, and where the child tells that it is ready."""
        ready = {"BENCH_READY_FD": str(READY_DESCRIPTOR)} if self._is_ready_told else {}
        return {"LD_LIBRARY_PATH": self.bench.toolchain.libraries, **ready}

    def status_command(self) -> list[str]:
        """One service: it has no word for several."""
        return [self.bench.toolchain.tool("s6-svstat"), str(self._services / self.names[0])]

    def status_environment(self) -> dict[str, str]:
        """Its own libraries."""
        return {"LD_LIBRARY_PATH": self.bench.toolchain.libraries}


VARIANTS = (
    Variant(
        "s6, child tells readiness",
        "s6",
        lambda bench, count: S6(bench, count, is_ready_told=True),
        # It starts a service at once that was ready for a second.
        healthy_seconds=1.2,
    ),
    Variant(
        "s6, without readiness",
        "s6",
        lambda bench, count: S6(bench, count, is_ready_told=False),
        healthy_seconds=1.2,
        pause_seconds=(0.02, 1.02),
        side_by_side=16,
        is_slow=True,
    ),
)
