"""Whether a sink can be reached, asked by `agentd --check-config --connect`. Nothing is sent and nothing is kept."""

import os
import tempfile
import time

import agent
from agent.config import HOST_NAME, Config
from workers.export.sink import Delivered, SinkContext, SinkKind, SinkValues


def probe_sink(kind: SinkKind, values: SinkValues, config: Config) -> tuple[bool, str]:
    """Whether it can be reached, and a sentence: why not, or what is remarkable about its answer; "": nothing."""
    notes: list[str] = []
    # A folder of its own: that of the sink belongs to an agent that may be running.
    with tempfile.TemporaryDirectory(prefix="evergauge-connect-") as folder:
        context = SinkContext(
            settings=values,
            host=config.of(HOST_NAME),
            install="",
            agent_version=agent.__version__,
            folder=folder,
            variables=os.environ,
            wall_ns=time.time_ns,
            note=lambda _kind, _severity, sentence: notes.append(sentence),
        )
        sink = kind.open(context)
        try:
            verdict = sink.probe()
        finally:
            sink.close()
    if isinstance(verdict, Delivered):
        return True, verdict.sentence or "; ".join(notes)
    return False, verdict.sentence
