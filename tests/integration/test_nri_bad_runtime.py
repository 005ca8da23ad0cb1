"""A whole agent beside runtimes that do not behave: they are named in `status` and `diag`, and tried again; nothing is fatal."""

import io
import json
import os
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from fakes.nri_agent import condition, nri_flags, wait_true
from fakes.nri_dialect import container_of, pod_of
from fakes.nri_plugin import SimplePlugin
from fakes.nri_plugin_peer import Manner
from fakes.nri_runtime import NriRuntime
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.cli.program import run

# A registration that the runtime leaves unanswered is given up after the runtime's own limit.
RECOVERY_SECONDS = 15.0
HALF_A_FRAME = b"\x00\x00\x00\x01\x00\x00\x10\x00" + b"x" * 100
BAD_MANNERS = {
    "refused": Manner(refusal=(3, "we want no plugins")),
    "zeros": Manner(nonsense=b"\x00" * 64),
    "text": Manner(nonsense=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "endless frame": Manner(nonsense=b"\x00\x00\x00\x01\xff\xff\xff\xff" + b"x" * 9_000),
    "endless message": Manner(nonsense=b"\x00\x00\x00\x01\x00\x00\x00\x0a\xff\xff\xff\xff\x00\x00\x00\x01\x01\x00"),
    "half a frame": Manner(nonsense=HALF_A_FRAME),
    "silent": Manner(is_silent=True),
    "never configured": Manner(configures=False),
}


@pytest.mark.parametrize("manner", BAD_MANNERS.values(), ids=BAD_MANNERS)
def test_a_bad_runtime_is_named_and_forgiven(tmp_path: Path, manner: Manner) -> None:
    """The condition says what is wrong and the agent stays ready; when the runtime behaves, all is well within seconds."""
    with NriRuntime(tmp_path / "nri.sock", registration_seconds=0.5) as runtime:
        runtime.start_pod(pod_of(1), container_of(pod_of(1)))
        runtime.manner = manner
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            sentence = wait_until(lambda: condition(agent), "the problem is named", seconds=RECOVERY_SECONDS)
            assert sentence.isprintable()
            assert agent.is_ready()
            assert "condition" in [row["kind"] for row in agent.call("diag")["events"]] or sentence in str(agent.call("diag"))
            runtime.manner = Manner()
            wait_until(lambda: runtime.plugin, "the agent is connected", seconds=RECOVERY_SECONDS)
            wait_true(agent, runtime)
            wait_until(lambda: not condition(agent), "the condition has ended")
            assert agent.workers()["control-plane"]["restarts"] == 0
            assert runtime.failed_operations == []


def test_no_socket_is_no_problem_unless_it_is_required(tmp_path: Path) -> None:
    """`auto`: a host without a runtime is a host. `true`: not ready, with the sentence, until a runtime comes."""
    runtime = NriRuntime(tmp_path / "nri" / "nri.sock")
    (tmp_path / "auto").mkdir()
    with AgentProcess(tmp_path / "auto", flags=nri_flags(tmp_path / "auto", runtime)) as agent:
        assert condition(agent) == ""
    agent = AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime, nri_enabled="true"))
    agent.start(ready=False)
    try:
        reasons = wait_until(lambda: _reasons(agent), "the reason is told")
        assert any(str(runtime.path) in reason for reason in reasons), reasons
        with runtime:
            runtime.wait_plugin()
            wait_until(agent.is_ready, "it is ready")
        wait_until(lambda: not agent.is_ready(), "a lost runtime makes it not ready again")
    finally:
        agent.end()


def _reasons(agent: AgentProcess) -> list[str]:
    try:
        reasons: list[str] = agent.call("status")["reasons"]
    except (OSError, ValueError):
        return []
    return [reason for reason in reasons if "nri" in reason.lower()]


def test_switched_off_nobody_connects(tmp_path: Path) -> None:
    """`nri.enabled=false`: the socket is left alone, and no condition says anything."""
    with (
        NriRuntime(tmp_path / "nri.sock") as runtime,
        AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime, nri_enabled="false", control_plane_interval="50ms")) as agent,
    ):
        looks = agent.stats("control-plane")["scans"]
        wait_until(lambda: agent.stats("control-plane")["scans"] > looks + 5, "time has passed")
        assert (runtime.connections, condition(agent)) == (0, "")


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    """A plain file in its place, and then a socket on which nobody listens: both are named."""
    runtime = NriRuntime(tmp_path / "nri.sock")
    runtime.path.write_text("")
    with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
        wait_until(lambda: condition(agent), "the file is named")
        runtime.path.unlink()
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind(str(runtime.path))
        wait_until(lambda: condition(agent), "the dead socket is named")
        with runtime:
            runtime.wait_plugin()
            wait_until(lambda: not condition(agent), "the condition has ended")


def test_a_peer_that_takes_no_connection(tmp_path: Path) -> None:
    """A listener that never accepts, with a full queue: nothing hangs."""
    runtime = NriRuntime(tmp_path / "nri.sock")
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_UNIX) as first:
        deaf.bind(str(runtime.path))
        deaf.listen(0)
        first.connect(str(runtime.path))
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            wait_until(lambda: condition(agent), "it is named", seconds=RECOVERY_SECONDS)
            began = time.monotonic()
            assert agent.end() == 0
            assert time.monotonic() - began < 3.0


def _exchange_bytes(tmp_path: Path) -> int:
    """How many bytes go to a plugin from the registration to the first event."""
    with NriRuntime(tmp_path / "measure.sock") as runtime:
        runtime.start_pod(pod_of(1), container_of(pod_of(1)))
        with SimplePlugin(runtime.path):
            peer = runtime.wait_plugin()
            runtime.run_pod(pod_of(2))
            return peer.sent_bytes


def _was_tried_again(runtime: NriRuntime, before: int) -> bool:
    return runtime.connections > before


def test_connections_that_end_in_the_midst_of_a_message(tmp_path: Path) -> None:
    """After any byte of the exchange: the agent comes back each time, and in the end it knows every pod."""
    whole = _exchange_bytes(tmp_path)
    cuts = sorted({1, 7, 8, 9, 17, 18, 19, 30, *range(40, whole, max(1, whole // 12))})
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.start_pod(pod_of(1), container_of(pod_of(1)))
        runtime.manner = Manner(cut_after_bytes=cuts[0])
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            for number, cut in enumerate(cuts):
                runtime.manner = Manner(cut_after_bytes=cut)
                before = runtime.connections
                # A new socket is tried at once; on the same one the agent would wait longer each time.
                runtime.restart()
                wait_until(partial(_was_tried_again, runtime, before), f"it comes after cut {number}")
                pod = pod_of(100 + number)
                runtime.start_pod(pod, container_of(pod))
            runtime.manner = Manner()
            runtime.restart()
            runtime.wait_plugin(RECOVERY_SECONDS)
            wait_true(agent, runtime)
            assert agent.workers()["control-plane"]["restarts"] == 0
            assert runtime.failed_operations == []


def _doctor_line(folder: Path, socket_path: Path) -> str:
    """What the doctor says about NRI, with state and remedy."""
    output = io.StringIO()
    words = ["doctor", "--state-dir", str(folder), "--runtime-dir", str(folder), "--json"]
    run(words, {"NRI_SOCKET_PATH": str(socket_path)}, output, io.StringIO())
    findings = json.loads(output.getvalue())
    return json.dumps([row for row in findings["findings"] if "nri" in row["topic"].lower()])


def test_the_doctor_names_the_runtime(tmp_path: Path) -> None:
    """Without a runtime, with one, with a file in its place, which is none: the doctor has a line for each."""
    runtime = NriRuntime(tmp_path / "nri.sock")
    said = [_doctor_line(tmp_path, runtime.path)]
    with runtime:
        said.append(_doctor_line(tmp_path, runtime.path))
        assert runtime.connections <= 1
    os.unlink(runtime.path)
    runtime.path.write_text("")
    said.append(_doctor_line(tmp_path, runtime.path))
    assert "not found" in said[0]
    assert "each pod is known as it starts" in said[1]
    assert said[2] == said[0]
