"""A busy host at 03:12, as `agentctl top` gets it: a compile farm, a database, a pod that was killed, names of many scripts."""

from agent.cli.top_sample import Named, Sample, sample_of

S = 10**9
MIB = 1 << 20
# 2024-01-31 03:12:07 UTC.
AT = 1_706_670_727 * S
BOOT = AT - 40 * 86_400 * S
USERS = {0: "root", 26: "postgres", 33: "www-data", 1000: "deploy", 70000: "someone-with-a-long-name"}
NAMES = {"uid-cart": "shop/cart-7d9c", "uid-web": "shop/web", "pod-a": "shop/web"}


class _Story:
    """Rows of one tick, as they are stored."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Named]] = {}

    def put(self, table: str, **values: object) -> None:
        """Another row."""
        self.rows.setdefault(table, []).append({"timestamp": AT, **values})  # type: ignore[dict-item]

    def process(self, pid: int, name: str, line: str | None, cpu: float, rss: int, **values: object) -> None:
        """A named process."""
        usual: dict[str, object] = {
            "ppid": 1,
            "uid": 0,
            "state": "S",
            "threads": 1,
            "cpu_user_ns": round(cpu * 0.75 * S),
            "cpu_system_ns": round(cpu * 0.25 * S),
            "read_bytes": 0,
            "write_bytes": 0,
            "minor_faults": 12,
            "major_faults": 0,
            "context_switches": 40,
            "start_ticks": 100 * 86_400 * 39 + pid,
        }
        named = {"pid": pid, "comm": name, "command_line": line, "cpu_share": cpu, "rss_bytes": rss * MIB}
        is_kernel_thread = line is None and (pid == 2 or values.get("ppid") == 2)
        absent = {"absent": "command_line:kernel_thread"} if is_kernel_thread else {}
        self.put("process", **{**usual, **named, **absent, **values})


def _story() -> Sample:
    story = _Story()
    story.put("process_scan", processes=1840, threads=4120, deaths=12_034, cpu_share=30.9, elapsed_ns=S, exit_source="taskstats")
    story.put("host", boot_timestamp=BOOT, ticks_per_second=100, elapsed_ns=S)
    _services(story)
    _pods(story)
    for pid in range(30_000, 30_012):
        line = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -O2 -o /tmp/cc.s kernel/sched/core.c"
        story.process(
            pid, "cc1", line, 0.9 - (pid - 30_000) / 50, 180, uid=1000, ppid=29_999, state="R", start_ticks=345_599_900 + pid % 90
        )
    for k, (unit, command, processes) in enumerate(
        ((None, "kworker", 212), ("nginx.service", "nginx", 30), ("uid-web", "node", 16), ("uid-web", None, 1_555))
    ):
        folded = {"pod_uid": unit, "command": command, "processes": processes, "cpu_share": 0.2 * (k + 1)}
        story.put("process_tail", **folded, rss_bytes=k * 900 * MIB, threads=processes * 2, read_bytes=k * 4096, write_bytes=0)
    for command, deaths, cpu in (("cc1", 8_000, 7.5), ("sh", 3_000, 1.2), ("as", 1_033, 0.8)):
        story.put("process_exit", command=command, deaths=deaths, unseen=deaths - 5, cpu_share=cpu)
    story.put("process_exit", command="cart.jar", pod_uid="uid-cart", deaths=1, unseen=0, pid=4711, signal=9, cpu_share=0.4)
    return sample_of(AT, "db-node-17.example.net", story.rows)


def _services(story: _Story) -> None:
    database = {"uid": 26, "pod_uid": "postgresql@15-main.service", "unit_kind": "service"}
    line = (
        "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf"
    )
    story.process(900, "postgres", line, 1.02, 4200, **database, write_bytes=310 * MIB, state="D", major_faults=140)
    writer = "postgres: 15/main: background writer"
    story.process(901, "postgres", writer, 0.31, 3100, **database, ppid=900, write_bytes=48 * MIB, read_bytes=3 * MIB)
    backend = "postgres: 15/main: shop shop 10.2.0.7(51324) SELECT"
    story.process(955, "postgres", backend, 0.87, 2900, **database, ppid=900, read_bytes=120 * MIB, tcp_sent_bytes=9 * MIB)
    story.process(1, "systemd", "/sbin/init", 0.0, 12, ppid=0)
    story.process(2, "kthreadd", None, 0.0, 0, ppid=0)
    story.process(88, "kswapd0", None, 0.44, 0, ppid=2, state="R")
    story.process(612, "sshd", "/usr/sbin/sshd -D", 0.0, 7, pod_uid="ssh.service")
    story.process(29_999, "make", "make -j32 vmlinux", 0.02, 40, uid=1000, ppid=29_000, pod_uid="session-4.scope")


def _pods(story: _Story) -> None:
    web = {"pod_uid": "uid-web", "unit_kind": "pod", "uid": 33}
    story.process(1200, "python3", "/usr/bin/python3 /srv/indexer.py --all", 3.4, 900, **web, threads=512, context_switches=98_000)
    story.process(1300, "node", "node /srv/server.js", 0.5, 300, **web, tcp_sent_bytes=88 * MIB, tcp_received_bytes=2 * MIB)
    story.process(4712, "java", "java -Xmx8g -jar /opt/cart.jar", 2.2, 7_900, pod_uid="uid-cart", uid=70_000, threads=77)
    # A name of wide letters, one of marks above letters, one that tried to steer the terminal.
    story.process(1401, "数据库备份", "/usr/local/bin/数据库备份 --全部 /数据", 0.6, 50, **web)
    story.process(1402, "résumé", "/opt/re\u0301sume\u0301 --x", 0.3, 20, **web)
    story.process(1403, "evil\\x1b[2J", "evil?[2J --?]0;title?", 0.1, 10, **web)
    uid = "3f1c2d7a-9a41-4a6e-8f0e-5d2b7c9e1a22"
    story.process(1500, "redis-server", "redis-server *:6379", 0.05, 650, pod_uid=uid, unit_kind="pod", uid=1000)


STORY = _story()
