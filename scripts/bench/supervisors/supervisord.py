"""supervisord: one Python process that looks once a second. No setting makes it look more often."""

from supervisors.rival import Bench, Rival, Variant

SETTINGS = """
[supervisord]
nodaemon = true
logfile = {folder}/log
pidfile = {folder}/pid
childlogdir = {folder}
[unix_http_server]
file = {folder}/control
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{folder}/control
[program:child]
command = {child} {label}-%(process_num)d
process_name = {label}-%(process_num)d
numprocs = {count}
autorestart = true
stdout_logfile = NONE
stderr_logfile = NONE
"""


class Supervisord(Rival):
    """supervisord with its defaults."""

    def __init__(self, bench: Bench, count: int) -> None:
        super().__init__(bench, "d", count)

    def prepare(self) -> None:
        """One program with a number of processes."""
        text = SETTINGS.format(folder=self.folder, child=self.child, label=self.label, count=self.count)
        (self.folder / "conf").write_text(text)

    def command_line(self) -> list[str]:
        """In the foreground."""
        return [self.bench.toolchain.python_tool("supervisord"), "-c", str(self.folder / "conf")]

    def status_command(self) -> list[str]:
        """All processes."""
        return [self.bench.toolchain.python_tool("supervisorctl"), "-c", str(self.folder / "conf"), "status"]


VARIANTS = (
    # A process counts as started when it has run for a second.
    Variant(
        "supervisord", "supervisor", Supervisord, pause_seconds=(0.02, 1.02), side_by_side=8, healthy_seconds=1.2, is_slow=True
    ),
)
