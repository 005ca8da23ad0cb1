"""runit: one scanner, and one small supervisor per service, which starts a service at once that ran for a second."""

from pathlib import Path

from supervisors.rival import Bench, Rival, Variant


class Runit(Rival):
    """runsvdir with one runsv per child."""

    def __init__(self, bench: Bench, count: int) -> None:
        super().__init__(bench, "r", count)
        self._services = self.folder / "services"

    def prepare(self) -> None:
        """One folder per service; the child takes its name from it."""
        for name in self.names:
            (self._services / name).mkdir(parents=True)
            (self._services / name / "run").symlink_to(self.child)

    def command_line(self) -> list[str]:
        """The scanner; it finds runsv by PATH."""
        return [self.bench.toolchain.tool("runsvdir"), str(self._services)]

    def environment(self) -> dict[str, str]:
        """Where runsv is."""
        return {"PATH": f"{Path(self.bench.toolchain.tool('runsv')).parent}:/usr/bin:/bin"}

    def status_command(self) -> list[str]:
        """All services in one call."""
        return [self.bench.toolchain.tool("sv"), "status", *(str(self._services / name) for name in self.names)]


VARIANTS = (Variant("runit", "runit", Runit, healthy_seconds=1.2),)
