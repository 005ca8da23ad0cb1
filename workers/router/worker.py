"""The worker `router`: questions over the rows of all hosts, by HTTP."""

from agent.config import STATE_DIR, Config
from agent.lake_setting import LAKE_SETTINGS, LAKE_URL
from agent.model.limit import CPU_PER_CORE
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from agent.router_setting import (
    ROUTER_ADDRESS,
    ROUTER_ALLOWED_HOSTS,
    ROUTER_LOOK,
    ROUTER_MEMORY,
    ROUTER_PORT,
    ROUTER_QUESTIONS,
    ROUTER_SETTINGS,
    ROUTER_TIMEOUT,
    ROUTER_TLS_CERT_FILE,
    ROUTER_TLS_KEY_FILE,
    ROUTER_TOKEN_FILE,
    ROUTER_TRUSTED_PROXY,
)
from workers.framework.declaration import Worker, WorkerContext

# For each question that is answered so many may wait.
WAITING_PER_QUESTION = 4


def _make(context: WorkerContext) -> Work:
    from workers.http.edge_files import read_edge, tls_of_files
    from workers.http.host import host_policy
    from workers.router.asking import AskTerms
    from workers.router.router_http import RouterPlace
    from workers.router.work import RouterWork

    config = context.launch.config
    address, port = config.of(ROUTER_ADDRESS) or "127.0.0.1", config.of(ROUTER_PORT)
    tls = tls_of_files(config.of(ROUTER_TLS_CERT_FILE), config.of(ROUTER_TLS_KEY_FILE))
    edge = read_edge(
        address,
        token_file=config.of(ROUTER_TOKEN_FILE),
        has_tls=tls is not None,
        trusted_proxy=config.of(ROUTER_TRUSTED_PROXY),
        section="router",
        cookie=f"evergauge-router-{port}",
    )
    hosts = host_policy(address, config.of(ROUTER_ALLOWED_HOSTS), "router.allowed_hosts (--router-allowed-hosts)")
    at_once = config.of(ROUTER_QUESTIONS)
    # The fleet's store where there is one; else what this agent has stored itself, or of its nodes.
    words = ("--lake=configured",) if config.of(LAKE_URL) else (f"--state-dir={config.of(STATE_DIR)}",)
    terms = AskTerms(
        at_once,
        at_once * WAITING_PER_QUESTION,
        config.of(ROUTER_TIMEOUT),
        config.of(ROUTER_MEMORY),
        words,
        {each.environment_name: config.show(each) for each in LAKE_SETTINGS if config.values.get(each.key) not in (None, "")},
    )
    return RouterWork(RouterPlace(address, port, hosts, edge, tls), terms, config.of(ROUTER_LOOK), context.clock, context.bus)


def _is_wanted(config: Config) -> bool:
    """Only where a port is set."""
    return bool(config.of(ROUTER_PORT))


WORKER = Worker(
    name="router",
    # Behind the writer, whose rows it reads. Its questions are processes of their own, in its cgroup: some at a time.
    kind=WorkerKind("router", start_order=80, cpu_limit=2 * CPU_PER_CORE, memory_limit=4 << 30),
    make=_make,
    preload=(),
    is_wanted=_is_wanted,
    settings=(*LAKE_SETTINGS, *ROUTER_SETTINGS),
    statistics=(
        Statistic("evergauge_router_questions_total", "counter", "Questions that were asked.", ("questions",)),
        Statistic("evergauge_router_failed_total", "counter", "Questions without an answer.", ("failed",)),
        Statistic("evergauge_router_busy_total", "counter", "Questions refused because too many waited.", ("busy",)),
        Statistic("evergauge_router_under_way", "gauge", "Questions that are being answered.", ("under_way",)),
        Statistic("evergauge_router_fallback", "gauge", "1: new windows are answered from raw rows.", ("is_fallback",)),
    ),
)
