"""Puts this node's page together, with everything that it imports."""

import os
from collections.abc import Callable

import workers.gateway.node
import workers.http
from agent.model.rule_state import RuleState
from agent.ports import Clock
from workers.gateway.node.board import TABLES
from workers.gateway.node.command import CommandRunner
from workers.gateway.node.site import VENDOR, NodeSite
from workers.gateway.stored_tail import StoredTail
from workers.http.edge import Edge
from workers.http.server import Server
from workers.http.static_files import StaticFiles


def made_site(
    *,
    clock: Clock,
    server: Server,
    edge: Edge,
    state_dir: str,
    rules: Callable[[], RuleState | None],
    ask_status: Callable[[int], None],
    about: tuple[str, str],
    epoch: str,
) -> NodeSite:
    """The page over the spool of a state folder."""
    assets = os.path.join(os.path.dirname(workers.http.__file__), "assets")
    page = os.path.join(os.path.dirname(workers.gateway.node.__file__), "page")
    folders = {"/assets": assets, VENDOR: os.path.join(assets, "vendor"), "/node": page}
    return NodeSite(
        clock=clock,
        server=server,
        edge=edge,
        source=StoredTail(state_dir, TABLES),
        files=StaticFiles(folders, {"/": ("/node", "index.html")}),
        runner=CommandRunner(state_dir),
        rules=rules,
        ask_status=ask_status,
        about=about,
        epoch=epoch,
    )
