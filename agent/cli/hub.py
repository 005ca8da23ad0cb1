"""The commands hub and join: who belongs to a hub, and how a node becomes one of its nodes."""

from agent.cli.call import Call
from agent.cli.option import TEXT, WHOLE, Argument, Command, Option
from agent.cli.render import ABSENT, TextColumn, text_of
from agent.cli.workload_order import duration_ns
from agent.model.control.fleet import HubInvitation, HubMembers, HubRemoval
from agent.model.errors import MisuseError

ACTIONS = ("invite", "list", "remove")
COLUMNS = (TextColumn("NODE"), TextColumn("HOST"), TextColumn("STATE"), TextColumn("JOINED"), TextColumn("LAST SEEN"))


def hub(call: Call) -> int:
    """`agentctl hub invite|list|remove`."""
    action = call.words[0]
    if action not in ACTIONS:
        raise MisuseError(f"hub {action}", "there is no such action", f"one of {', '.join(ACTIONS)}")
    if (len(call.words) == 2) is not (action == "remove"):
        raise MisuseError(f"hub {action}", "it takes one NODE" if action == "remove" else "it takes no further word")
    if action == "invite":
        return _invite(call)
    return _remove(call, call.words[1]) if action == "remove" else _list(call)


def _invite(call: Call) -> int:
    arguments: dict[str, object] = {}
    if (address := call.text("--address")) is not None:
        arguments["address"] = address
    if (ttl := call.text("--ttl")) is not None:
        arguments["ttl_ns"] = duration_ns("--ttl", ttl)
    if call.has("--uses"):
        arguments["uses"] = call.whole("--uses", 1)
    answer = call.ask("hub-invite", arguments)
    if call.wants_json:
        call.show_json(answer)
        return 0
    made = call.read(HubInvitation, answer)
    # The line alone on standard output, so that it can be piped to the node.
    call.show([made.invitation])
    nodes = "one node" if made.uses == 1 else f"{made.uses} nodes"
    call.warn(f"for {nodes}, until {made.expires}; on the node: agentctl join INVITATION")
    return 0


def _list(call: Call) -> int:
    answer = call.ask("hub-list")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(HubMembers, answer)
    call.show(
        [
            f"hub {text_of(found.hub)}: nodes report to {text_of(found.listen)}, join at {text_of(found.join)}; "
            f"page {text_of(found.page)}; {found.open_invitations} open invitations"
        ]
    )
    if not found.members:
        call.show(["no node has joined; `agentctl hub invite` prints what a node needs for it"])
    else:
        rows = [(row.node, row.host, row.state, row.joined, row.last_seen or ABSENT) for row in found.members]
        call.show_table(COLUMNS, [tuple(map(text_of, row)) for row in rows])
    return 0


def _remove(call: Call, node: str) -> int:
    answer = call.ask("hub-remove", {"node": node})
    if call.wants_json:
        call.show_json(answer)
    else:
        gone = call.read(HubRemoval, answer)
        call.show([f"{text_of(gone.host)} ({gone.node}) is taken out: it can report no more, and what it reported stays stored"])
    return 0


def join(call: Call) -> int:
    """`agentctl join INVITATION`: makes keys, asks the hub, and writes what the agent needs into the state folder."""
    from agent.cli.hub_join import join_hub

    return join_hub(call, call.words[0])


COMMANDS = (
    Command(
        "hub",
        hub,
        about="the nodes of this hub: invite one, list them, remove one",
        arguments=(
            Argument("ACTION", "invite, list or remove"),
            Argument("NODE", "of remove: the node's id, or the name of its host", required=False),
        ),
        options=(
            Option("--address", "HOST", "of invite: host name or address by which the node reaches this hub", kind=TEXT),
            Option("--ttl", "TIME", "of invite: how long it can be used, such as 1h or 7d", kind=TEXT),
            Option("--uses", "N", "of invite: for how many nodes it is (1)", kind=WHOLE),
        ),
        details="An invitation is one line for `agentctl join` on the node. It holds a token that is used up by it; anybody with\n"
        "the line can join until then, so treat it like a password. A removed node is refused from that moment on.",
        examples=("agentctl hub invite --address hub.example.org", "agentctl hub list", "agentctl hub remove node-7"),
    ),
    Command(
        "join",
        join,
        about="make this node report to a hub, with the line that `agentctl hub invite` printed there",
        arguments=(Argument("INVITATION", "the line; -: read it from standard input"),),
        options=(
            Option("--name", "NAME", "what the hub is called here: its sink and its worker (hub)", kind=TEXT),
            Option("--host", "NAME", "the name of this host at the hub (else that of the agent, else the system's)", kind=TEXT),
        ),
        details="It makes a key pair, asks the hub, and writes hubs/NAME.json into the state folder. The agent reports from its\n"
        "next start on. Joining again replaces the keys.",
        examples=("agentctl join evergauge-1:hub.example.org:9466:KEY:TOKEN", "ssh hub agentctl hub invite | agentctl join -"),
        timeout_seconds=15.0,
    ),
)
