"""The kinds of events and conditions of a hub, of a node that reports to one, and of a router. PURE."""

from agent.model.event_kind import EventSeverity, condition, event

_INFO, _WARNING, _ERROR = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.ERROR
_NOTHING = "Nothing."
_SENTENCE = "Do what its sentence says."

FLEET_KINDS = (
    condition("hub_unusable", "The hub that is its subject cannot be reported to: its file of keys cannot be used.", _SENTENCE),
    condition("hub_refuses", "The hub that is its subject takes nothing from this node.", _SENTENCE, _ERROR),
    condition("uplink_storage", "The spool cannot be read, and the hubs see no new state of this node.", _SENTENCE),
    condition("hub_endpoint", "The hub cannot listen for its nodes.", _SENTENCE, _ERROR),
    condition("hub_full", "The hub takes no further connections.", "Raise LimitNOFILE of the service, or use another hub."),
    condition("hub_storage", "Who belongs to the hub cannot be stored; nobody can join or be removed.", _SENTENCE, _ERROR),
    condition("hub_http", "The hub's page and /v1 are not served, or not to everybody.", _SENTENCE),
    condition(
        "hub_suspicion",
        "Many nodes became silent at once: it is rather the hub or its network that is at fault.",
        "Look at the hub's host and network first.",
    ),
    condition("router_http", "The router's questions are not served, or not to everybody.", _SENTENCE),
    condition(
        "router_fallback",
        "New windows are answered from raw rows, as their sketches are missing, late or not whole: answers stay right, with wider "
        "intervals.",
        "Look at the mergers and at topic proc.sketch.v1; `agentctl ask … --explain` says which hosts.",
        normal="none; a short one after a restart of mergers or of many agents",
    ),
    event("hub_node_joined", _INFO, "A node has joined the hub.", _NOTHING, "one for each node"),
    event(
        "hub_join_refused",
        _WARNING,
        "A node was not let in: its invitation is unknown, used or expired, or the hub is full.",
        "Invite it again; if nobody wants to join, look where the attempts come from.",
        "none",
    ),
    event(
        "hub_refused_node",
        _WARNING,
        "What a node says is refused: a wrong identity, another version of the protocol, or what cannot be read.",
        _SENTENCE,
        "none",
    ),
    event(
        "hub_same_identity",
        _ERROR,
        "Two machines claim to be one node: one is a copy of the other. The newer one is refused.",
        "Remove install-id and hubs/ from the copy's state folder, and let it join for itself.",
        "none",
    ),
    event("hub_node_silent", _WARNING, "A node is silent for so long that it has left scheduling.", "Look at the node.", "none"),
    event("hub_node_back", _INFO, "A node that was silent reports again.", _NOTHING, "none"),
    event("hub_node_left", _INFO, "A node has left on purpose: its agent ended.", _NOTHING, "one for each end of a node's agent"),
    event(
        "hub_stalled",
        _WARNING,
        "The hub itself stood still; nobody is judged silent for as long as a node may be.",
        "Look at the load of the hub's host.",
        "none",
    ),
    event(
        "hub_suspects_itself",
        _WARNING,
        "Many nodes became silent at once.",
        "Look at the hub's host and network first.",
        "none",
    ),
)
