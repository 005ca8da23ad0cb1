"""The life of a worker process: forked by the fork server, one loop, ended by an order, a signal or the fork server's death.

This is the composition root of the workers: it puts a kind of work together with the ports that it asks for.
"""

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

import zmq

from agent.capability import keep_only
from agent.clock import SystemClock
from agent.config import HEARTBEAT_INTERVAL
from agent.failpoint import failpoint, name_process
from agent.launch import Launch, decode_launch
from agent.model.errors import EvergaugeError, ExitCode
from agent.ports import Work
from workers import registry
from workers.framework.declaration import WorkerContext
from workers.runtime import process
from workers.runtime.bus_client import BusClient
from workers.runtime.context import ProcessContext
from workers.runtime.heartbeat_page import HeartbeatPage
from workers.runtime.loop import WorkerLoop

MakeWork = Callable[[WorkerContext], Work]
ZmqEnds = tuple["zmq.Context[zmq.Socket[bytes]]", "zmq.Socket[bytes]"]


def registered_maker(launch: Launch) -> MakeWork:
    """How the work of a worker of the registry is made. *Raises:* KeyError for a name that is not there."""
    return registry.worker(launch.identity.worker, launch.config).make


def declared_capabilities(launch: Launch) -> tuple[str, ...]:
    """What a worker of the registry keeps; nothing for any other."""
    with suppress(KeyError):
        return registry.worker(launch.identity.worker, launch.config).kept_capabilities(launch.config)
    return ()


def run_worker(
    take_order: Callable[[], bytes], page: int, stderr: int, maker_of: Callable[[Launch], MakeWork] = registered_maker
) -> None:
    """Be a worker until it ends; never returns. The descriptors: heartbeat page, stderr pipe.

    Everything that does not depend on which worker it is comes before `take_order`, which may wait long: a standby process
    waits there. An empty order means that nobody needs it.
    """
    code = ExitCode.BUG
    try:
        os.dup2(stderr, 1)
        os.dup2(stderr, 2)
        os.close(stderr)
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
        process.settle()
        process.set_name("spare")
        zmq_ends = _open_zmq()
        order = take_order()
        code = _live(decode_launch(order), zmq_ends, page, maker_of) if order else ExitCode.DONE
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


def _open_zmq() -> ZmqEnds:
    """The context and the socket of the bus, with ZeroMQ's threads already started: a start may come when nothing can be forked.

    Those threads inherit the capabilities of the thread that makes the first socket. It is one that has given them up, because
    which ones this process keeps is not known yet.
    """
    made: list[ZmqEnds | zmq.ZMQError] = []

    def make() -> None:
        # Where it is refused, this process says so when it has its order.
        with suppress(OSError):
            keep_only(())
        try:
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            made.append((context, context.socket(zmq.DEALER)))
        except zmq.ZMQError as failure:
            made.append(failure)

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    (ends,) = made
    if isinstance(ends, zmq.ZMQError):
        raise ends
    return ends


def _live(
    launch: Launch,
    zmq_ends: ZmqEnds,
    page: int,
    maker_of: Callable[[Launch], MakeWork],
) -> ExitCode:
    try:
        keep_only(declared_capabilities(launch))
    except OSError as refused:
        # A sandbox that forbids this call is no reason to measure nothing.
        print(f"cannot give up capabilities: {refused.strerror}; allow capset in the sandbox's system call filter", file=sys.stderr)
    process.set_name(launch.identity.worker)
    name_process(launch.identity.worker)
    failpoint("worker.before_hello")
    zmq_context, socket = zmq_ends
    bus = BusClient(socket, launch.bus_path, launch.identity)
    bus.hello(os.getpid())
    failpoint("worker.greeted")
    context = ProcessContext(launch, zmq_context, SystemClock(), bus)
    work = maker_of(launch)(context)
    loop = WorkerLoop(
        clock=context.clock,
        page=HeartbeatPage(page),
        bus=bus,
        work=work,
        outboxes=context.made_outboxes,
        peer=context.made_peer,
        heartbeat_interval_ns=launch.config.of(HEARTBEAT_INTERVAL),
        memory=process.own_pss_bytes,
    )
    context.heartbeat.beat = loop.heartbeat
    loop.run()
    context.close()
    return ExitCode.DONE
