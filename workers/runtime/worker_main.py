"""The life of a worker process: born from the fork server, one loop, ended by a word, a signal or the fork server's death.

This is the composition root of the workers: the only place that knows both a kind of work and its ports.
"""

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable

import zmq

from agent.clock import SystemClock
from agent.config import BUFFER_BYTES, CGROUP_ROOT, HEARTBEAT_INTERVAL, RESCTRL_ENABLED, RESCTRL_MOUNT
from agent.failpoint import failpoint, name_process
from agent.launch import Launch, decode_launch
from agent.model.errors import EvergaugeError, ExitCode
from agent.model.heartbeat import Heartbeat
from agent.ports import Work
from workers import registry
from workers.control_plane.work import ControlPlaneWork
from workers.framework.sampler import SamplerContext, SamplerWork
from workers.gateway.work import GatewayWork
from workers.resctrl.filesystem import MountedFilesystem
from workers.resctrl.groups import MonitoringGroups
from workers.runtime import process
from workers.runtime.bus_client import BusClient
from workers.runtime.data_peer import SocketDataPeer
from workers.runtime.heartbeat_page import HeartbeatPage
from workers.runtime.kernel_tree import OpenKernelTree
from workers.runtime.loop import WorkerLoop
from workers.runtime.outbox import SocketOutbox
from workers.writer.work import WriterWork


def run_worker(take_order: Callable[[], bytes], page: int, words: int) -> None:
    """Be a worker until it ends; never returns. The descriptors: heartbeat page, stderr pipe.

    Everything that does not depend on which worker it is comes before `take_order`, which may wait long: a process in
    reserve stands there. An empty order says that nobody needs it.
    """
    code = ExitCode.BUG
    try:
        os.dup2(words, 1)
        os.dup2(words, 2)
        os.close(words)
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
        process.settle()
        process.set_name("spare")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = context.socket(zmq.DEALER)
        order = take_order()
        code = _live(decode_launch(order), context, socket, page) if order else ExitCode.DONE
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        code = failure.code
    except OSError as failure:
        traceback.print_exc()
        code = ExitCode.IO if failure.errno else ExitCode.BUG
    except Exception:  # noqa: BLE001  the one broad handler of this process: report, then end with the code of a bug
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Not sys.exit: nothing that a library left for the interpreter's end may delay or change this exit.
        os._exit(int(code))


def _live(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", socket: "zmq.Socket[bytes]", page: int) -> ExitCode:
    process.set_name(launch.identity.worker)
    name_process(launch.identity.worker)
    failpoint("worker.before_hello")
    clock = SystemClock()
    bus = BusClient(socket, launch.bus_path, launch.identity)
    bus.hello(os.getpid())
    failpoint("worker.greeted")
    work, outbox, peer = MAKERS[launch.kind](launch, context, clock, bus)
    loop = WorkerLoop(
        clock=clock,
        page=HeartbeatPage(page),
        bus=bus,
        work=work,
        outbox=outbox,
        heartbeat_interval_ns=launch.config.of(HEARTBEAT_INTERVAL),
        memory=process.own_pss_bytes,
    )
    if isinstance(work, SamplerWork | ControlPlaneWork):
        work.heartbeat.beat = loop.heartbeat
    elif isinstance(work, WriterWork):
        work.on_progress(loop.heartbeat)
    if peer is not None:
        loop.watch_socket(peer.socket, work.on_data, peer.stats)  # type: ignore[attr-defined]  # only the writer has a peer
    loop.run()
    for end in (bus, outbox, peer):
        if end is not None:
            end.close()
    context.term()
    return ExitCode.DONE


Made = tuple[Work, SocketOutbox | None, SocketDataPeer | None]
Maker = Callable[[Launch, "zmq.Context[zmq.Socket[bytes]]", SystemClock, BusClient], Made]


def _outbox(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", ticks_max: int | None = None) -> SocketOutbox:
    bytes_max = launch.config.of(BUFFER_BYTES)
    return SocketOutbox(
        context, launch.data_path, launch.identity, bytes_max=bytes_max, ticks_max=ticks_max, endings=launch.endings
    )


def _make_control_plane(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", clock: SystemClock, bus: BusClient) -> Made:
    outbox = _outbox(launch, context)
    config = launch.config
    tree = OpenKernelTree(config.of(CGROUP_ROOT))
    # `auto` was decided when the agent started.
    groups = MonitoringGroups(MountedFilesystem(config.of(RESCTRL_MOUNT))) if config.of(RESCTRL_ENABLED) == "true" else None
    work = ControlPlaneWork(clock, tree, outbox, bus, config, run=launch.identity.run, groups=groups)
    return work, outbox, None


def _make_sampler(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", clock: SystemClock, bus: BusClient) -> Made:
    config = launch.config
    sampler = registry.sampler(launch.identity.worker.removeprefix("sampler/"))
    outbox = _outbox(launch, context, None if sampler.capacity is None else config.of(sampler.capacity))
    heartbeat = Heartbeat()
    probe = sampler.open(SamplerContext(config, clock, bus, OpenKernelTree, heartbeat))
    return SamplerWork(sampler, probe, clock, outbox, bus, config, heartbeat), outbox, None


def _make_writer(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", clock: SystemClock, bus: BusClient) -> Made:
    peer = SocketDataPeer(context, launch.data_path)
    work = WriterWork(
        clock=clock,
        peer=peer,
        bus=bus,
        config=launch.config,
        catalogue=registry.tables(),
        identity=launch.identity,
        state_dir=launch.state_dir,
        host=launch.host,
        agent_version=launch.agent_version,
        segment_ids=lambda: os.urandom(4).hex(),
    )
    return work, None, peer


def _make_gateway(launch: Launch, context: "zmq.Context[zmq.Socket[bytes]]", clock: SystemClock, bus: BusClient) -> Made:
    return GatewayWork(clock=clock, bus=bus, config=launch.config), None, None


MAKERS: dict[str, Maker] = {
    "control-plane": _make_control_plane,
    "sampler": _make_sampler,
    "writer": _make_writer,
    "gateway": _make_gateway,
}
