"""The worker `hub`: it knows every node within a second, and answers questions about all of them."""

from agent.config import HOST_NAME, STATE_DIR, Config
from agent.hub_setting import (
    HUB_ADMISSIONS,
    HUB_ADVERTISE,
    HUB_BEAT,
    HUB_INVITATION_TTL,
    HUB_JOIN_PORT,
    HUB_LISTEN,
    HUB_NAME,
    HUB_NODES_MAX,
    HUB_SETTINGS,
    HUB_STALE,
)
from agent.model.control import HUB_OPERATIONS
from agent.model.limit import CPU_PER_CORE
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext

# A collection of garbage looks at all that a hub of 1,000 nodes knows for 20 to 35 ms, in which no question is answered, and finds
# nothing: what the hub holds has no cycles. One comes after so many objects more than before, instead of 700.
GARBAGE_OBJECTS_MIN = 100_000


def _make(context: WorkerContext) -> Work:
    import gc
    import os
    from random import Random

    from agent.fleet.invitation import bracketed
    from agent.model.host import parse_host
    from workers.fleet.joining_keys import new_keys
    from workers.hub.effect import HubTerms
    from workers.hub.endpoint import HubEndpoint, connections_max
    from workers.hub.fleet_operations import HubPlace
    from workers.hub.http_place import http_place
    from workers.hub.hub_files import HubFiles
    from workers.hub.membership import Membership
    from workers.hub.work import HubParts, HubWork

    gc.set_threshold(GARBAGE_OBJECTS_MIN)
    config = context.launch.config
    files = HubFiles(config.of(STATE_DIR))
    keys = files.keys(new_keys)
    nodes_max = config.of(HUB_NODES_MAX)
    membership = Membership(files.members(), nodes_max)
    listen = config.of(HUB_LISTEN)
    authority = listen.removeprefix("tcp://")
    address, data_port = parse_host(authority) or "", int(authority.rpartition(":")[2])
    join = f"tcp://{bracketed(address)}:{config.of(HUB_JOIN_PORT)}"
    invited_by = config.of(HUB_ADVERTISE) or (address if address not in ("0.0.0.0", "::") else config.of(HOST_NAME))
    terms = HubTerms(
        config.of(HUB_NAME) or config.of(HOST_NAME),
        os.urandom(8).hex(),
        config.of(HUB_BEAT),
        config.of(HUB_STALE),
        config.of(HUB_ADMISSIONS),
    )
    place = HubPlace(listen, join, config.of(HUB_JOIN_PORT), data_port, invited_by, keys.public, config.of(HUB_INVITATION_TTL))
    http = http_place(config)
    zmq_context = context.zmq_context()
    most = connections_max(nodes_max)
    parts = HubParts(
        terms,
        place,
        membership,
        files,
        lambda is_member: HubEndpoint(zmq_context, keys, listen, join, is_member, most=most),
        http,
        context.forwarder(),
        Random(os.urandom(8)),
    )
    return HubWork(parts, context.clock, context.bus)


def _is_wanted(config: Config) -> bool:
    """Only where nodes are to report here."""
    return bool(config.of(HUB_LISTEN))


WORKER = Worker(
    name="hub",
    # Behind the writer, which stores what it takes; a whole core: it serves all nodes. A node takes some 105 KiB, most of it
    # buffers of its connections in libzmq, and a unit 1.5 KiB: as many nodes as may join by default have room.
    kind=WorkerKind(
        "hub", start_order=60, answers=frozenset({STATS, RULES}) | HUB_OPERATIONS, cpu_limit=CPU_PER_CORE, memory_limit=4 << 30
    ),
    make=_make,
    preload=(),
    is_wanted=_is_wanted,
    settings=HUB_SETTINGS,
    statistics=(
        Statistic("evergauge_hub_nodes", "gauge", "Nodes by their state.", ("states",), by="state"),
        Statistic("evergauge_hub_units", "gauge", "Units of all nodes.", ("units",)),
        Statistic("evergauge_hub_workers", "gauge", "Workers on nodes that are present.", ("workers",)),
        Statistic("evergauge_hub_connections", "gauge", "Connections of nodes.", ("connections",)),
        Statistic("evergauge_hub_frames_total", "counter", "Frames taken.", ("frames",)),
        Statistic("evergauge_hub_malformed_total", "counter", "Frames that could not be read.", ("malformed",)),
        Statistic("evergauge_hub_strangers_total", "counter", "Connections refused for their key.", ("strangers",)),
        Statistic("evergauge_hub_beats_total", "counter", "Beats taken.", ("beats",)),
        Statistic("evergauge_hub_beats_lost_total", "counter", "Beats whose numbers never came.", ("lost",)),
        Statistic("evergauge_hub_beats_doubled_total", "counter", "Beats that came twice.", ("doubled",)),
        Statistic("evergauge_hub_rows_total", "counter", "Rows of nodes handed on to the writer, repeated ones too.", ("rows",)),
        Statistic("evergauge_hub_row_bytes_total", "counter", "The same in bytes.", ("row_bytes",)),
        Statistic("evergauge_hub_held_total", "counter", "Deliveries put off because the writer had no room.", ("held",)),
        Statistic("evergauge_hub_streams", "gauge", "Clients of the stream.", ("http", "streams")),
        Statistic("evergauge_hub_refused_total", "counter", "Frames of members that were refused.", ("refused",)),
    ),
)
