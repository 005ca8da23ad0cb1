"""The kind of sink `hub`: rows to a hub of evergauge, which stores them with the name of this host.

Beat and live state go to the same hub, by the workers `beat` and `uplink`: they do not wait for rows.
"""

from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues
from workers.fleet.hub_file import ANSWER_TIMEOUT, ENDPOINT, INVITATION_FILE, KEY_PATH

# What a person looks for who asks what has happened on a node; a hub that stored each second of all would be a store, not a hub.
HUB_TABLES = (
    "unit_event",
    "diag",
    "gap",
    "export_gap",
    "pod_group",
    "container_name",
    "unit_model",
    "process_sketch",
    "unit_minute",
    "host_minute",
)


def _check(values: SinkValues) -> str:
    from agent.fleet.joined import check_endpoint

    endpoint = values.of(ENDPOINT)
    if not endpoint:
        return ""
    try:
        check_endpoint(endpoint)
    except ValueError as cause:
        return f"endpoint: {cause}"
    return ""


def _open(context: SinkContext) -> Sink:
    from workers.export.hub.sink import HubSink

    return HubSink(context)


SINK = SinkKind(
    name="hub",
    about="A hub of evergauge: rows of events, gaps and minutes, stored there with the name of this host.",
    options=(ENDPOINT, KEY_PATH, INVITATION_FILE, ANSWER_TIMEOUT),
    # Where the hub has moved to another address it is still the same hub.
    identity=(KEY_PATH,),
    open=_open,
    default_tables=HUB_TABLES,
    # Rows of minutes are made of them.
    context_tables=("unit", "host"),
    is_ordered=True,
    check=_check,
    preload=("workers.export.hub.sink",),
)
