"""One connection to a container runtime, as bytes. What real runtimes sent is in `tests/fixtures/nri`."""

from itertools import pairwise
from random import Random

import pytest
from fakes.nri_dialect import DIALECTS
from fakes.nri_exchange import RECORDED, hear, recorded, sent_by_plugin, sent_by_runtime
from fakes.nri_wire import (
    PLUGIN_SERVICE,
    REQUEST,
    RESPONSE,
    RUNTIME_SERVICE,
    Message,
    Reader,
    bytes_of,
    field,
    fields,
    frame,
    frames,
    message_bytes,
    number_of,
    repeated,
    request,
    text_of,
)

from agent.model.errors import ProtocolError
from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerState,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
    Synchronized,
)
from workers.control_plane.nri.session import (
    ANSWERED_EMPTY,
    EVENT_BY_METHOD,
    STARTS_MAX,
    SUBSCRIPTION,
    Configured,
    NriEvent,
    PluginSession,
    Registered,
    RegistrationRefused,
    Reported,
    RuntimeShutDown,
    SessionEvent,
    StartCall,
    StartRequested,
)

LIMIT_NS = 2_000_000_000
POD, CONTAINER = RuntimePod("sandbox", "uid", name="web"), RuntimeContainer("container", "sandbox", pid=42)
POD_RECORD = field(1, "sandbox") + field(2, "web") + field(3, "uid")
CONTAINER_RECORD = field(1, "container") + field(2, "sandbox") + field(12, 42)


class Runtime:
    """The runtime's end of a session, by the rules of the Go side (`fakes.nri_wire`)."""

    def __init__(self) -> None:
        self.session = PluginSession()
        self.session.begin()
        self._reader = Reader()
        self._stream = -1
        (self.registration,) = self.answers()

    def answers(self) -> list[Message]:
        """What the plugin sent since this was asked last."""
        return self._reader.receive(self.session.take_output())

    def send(self, message: bytes, connection: int = PLUGIN_SERVICE) -> list[SessionEvent]:
        """Send a message in frames of the Go side."""
        return self.session.receive(frames(connection, message))

    def call(self, method: str, payload: bytes = b"") -> list[SessionEvent]:
        """Call the plugin on the next stream."""
        self._stream += 2
        return self.send(request(self._stream, method, payload, LIMIT_NS))

    def answered_after(self, stream: int, method: str) -> tuple[list[SessionEvent], bytes]:
        """Call the plugin on the stream after this one, without looking at earlier answers."""
        self.answers()
        self._stream = stream
        return self.answered(method)

    def answered(self, method: str, payload: bytes = b"") -> tuple[list[SessionEvent], bytes]:
        """Call the plugin; what the session reports, and the payload of the answer, which is no error."""
        events = self.call(method, payload)
        (answer,) = self.answers()
        assert (answer.connection, answer.kind, answer.stream) == (PLUGIN_SERVICE, RESPONSE, self._stream)
        content = fields(answer.data)
        assert 1 not in content
        return events, bytes_of(content, 2)


# ---- recorded exchanges --------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_exchange_is_heard_and_answered_as_it_was(name: str) -> None:
    """The same bytes go out, and all that happened is reported in its order."""
    events, output = hear(data for is_runtime, data in recorded(name) if is_runtime)
    assert sent_by_plugin(name) == output
    kinds = [type(event.event if isinstance(event, Reported) else event) for event in events]
    assert {Registered, Configured} == set(kinds[:2])
    ends: list[type] = [ContainerStopped, ContainerRemoved, PodStopped, PodRemoved]
    assert [Synchronized, PodStarted, StartRequested, *ends] == kinds[2:9]
    assert kinds[9:] in ([], ends)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("containerd-1.7.24", Configured("containerd", "1.7.24~ds1")),
        ("containerd-2.1.9", Configured("containerd", "2.1.9+unknown", "", 5_000_000_000, LIMIT_NS)),
        ("nri-0.3.0", Configured("judge", "1.2.3")),
        ("nri-0.10.0", Configured("judge", "1.2.3", "", 5_000_000_000, LIMIT_NS)),
        ("nri-0.12.5", Configured("judge", "1.2.3", "v0.12.5", 5_000_000_000, LIMIT_NS)),
    ],
)
def test_real_runtimes_say_who_they_are(name: str, expected: Configured) -> None:
    """Old ones name no limits, and only the newest name their NRI."""
    assert expected in hear([sent_by_runtime(name)])[0]


@pytest.mark.parametrize("name", RECORDED[:2])
def test_a_real_runtime_reports_where_a_starting_container_is(name: str) -> None:
    """Containerd fills the pid, the cgroup's path, names and labels before the container's first instruction."""
    events, _ = hear([sent_by_runtime(name)])
    (start,) = [event for event in events if isinstance(event, StartRequested)]
    uid = "0aa4b6d2-4d3e-4b70-9e1c-0d6b2f0f0002"
    assert (start.pod.uid, start.pod.namespace, start.pod.name) == (uid, "shop", "after")
    assert (start.pod.labels["app"], start.pod.cgroup_parent) == ("web", f"/kubepods/besteffort/pod{uid}")
    assert start.container.cgroups_path == f"/kubepods/besteffort/pod{uid}/{start.container.id}"
    assert (start.container.name, start.container.sandbox_id) == ("app", start.pod.sandbox_id)
    assert start.container.state is ContainerState.CREATED
    assert start.container.pid > 1
    assert 0 < start.call.timeout_ns <= LIMIT_NS


def heard(*pieces: bytes) -> tuple[list[SessionEvent], list[Message]]:
    """Events and messages; where calls arrive together, a start is answered after calls that came behind it."""
    events, output = hear(pieces)
    return events, sorted(Reader().receive(output), key=lambda message: (message.connection, message.stream))


@pytest.mark.parametrize("name", RECORDED)
def test_an_exchange_may_arrive_byte_by_byte(name: str) -> None:
    """Every prefix of it is accepted, and the sum is the same."""
    data = sent_by_runtime(name)
    assert heard(data) == heard(*(data[at : at + 1] for at in range(len(data))))


def test_an_exchange_may_be_cut_at_every_byte() -> None:
    """Any two parts are heard as the whole."""
    data = sent_by_runtime("nri-0.12.5")
    whole = heard(data)
    for cut in range(len(data)):
        assert whole == heard(data[:cut], data[cut:]), cut


def hear_damaged(data: bytes | bytearray) -> None:
    """A session refuses bytes or hears them; whatever it sends, the Go side can read."""
    session, reader = PluginSession(), Reader()
    session.begin()
    try:
        for event in session.receive(data):
            if isinstance(event, StartRequested):
                session.answer(event.call)
    except ProtocolError:
        pass
    reader.receive(session.take_output())


@pytest.mark.parametrize("damage", [0x01, 0x08, 0x80, 0xFF])
def test_every_byte_may_be_altered(damage: int) -> None:
    """No altered byte leads to anything but other events or a ProtocolError."""
    data = bytearray(sent_by_runtime("nri-0.12.5"))
    for at in range(len(data)):
        data[at] ^= damage
        hear_damaged(data)
        data[at] ^= damage


@pytest.mark.parametrize("name", RECORDED)
def test_random_damage_is_refused_or_heard(name: str) -> None:
    """Several bytes altered, cut out or doubled, by a seed that a failure shows."""
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    chance = Random(seed)
    whole = sent_by_runtime(name)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randrange(1, 40)]
                case _:
                    data[at:at] = data[at : at + chance.randrange(1, 40)]
        hear_damaged(data)


def test_random_payloads_are_refused_or_heard() -> None:
    """Each method with bytes that are nearly a message, by a seed that a failure shows."""
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    chance = Random(seed)
    methods = ["Configure", "Synchronize", "StateChange", "Shutdown", *EVENT_BY_METHOD, *ANSWERED_EMPTY]
    for _ in range(3000):
        payload = bytes(chance.choice((0, 1, 2, 8, 10, 18, 26, 34, 66, 90, 255, chance.randrange(256))) for _ in range(30))
        hear_damaged(frames(PLUGIN_SERVICE, request(1, chance.choice(methods), payload[: chance.randrange(31)], 0)))


# ---- registration and configuration --------------------------------------------------------------


def test_the_registration_names_the_plugin() -> None:
    """It is the first call on the runtime's connection."""
    registration = Runtime().registration
    call = fields(registration.data)
    assert (registration.connection, registration.stream, registration.kind) == (RUNTIME_SERVICE, 1, REQUEST)
    assert (text_of(call, 1), text_of(call, 2)) == ("nri.pkg.api.v1alpha1.Runtime", "RegisterPlugin")
    assert field(1, "evergauge") + field(2, "10") == bytes_of(call, 3)


def test_a_taken_registration_is_reported_once() -> None:
    """A second answer answers nothing and is counted."""
    runtime = Runtime()
    answer = message_bytes(1, RESPONSE, b"")
    assert runtime.send(answer, RUNTIME_SERVICE) == [Registered()]
    assert runtime.send(answer, RUNTIME_SERVICE) == []
    assert runtime.session.counters.messages_ignored == 1


def test_a_refused_registration_has_its_reason() -> None:
    """The runtime's code and text."""
    status = field(1, 2) + field(2, 'invalid plugin index "1"')
    expected = [RegistrationRefused(2, 'invalid plugin index "1"')]
    assert expected == Runtime().send(message_bytes(1, RESPONSE, field(1, status)), RUNTIME_SERVICE)


def test_an_answer_to_nothing_is_ignored() -> None:
    """Of another stream, or before anything was asked."""
    runtime = Runtime()
    assert runtime.send(message_bytes(3, RESPONSE, b""), RUNTIME_SERVICE) == []
    session = PluginSession()
    assert session.receive(frames(RUNTIME_SERVICE, message_bytes(1, RESPONSE, b""))) == []
    assert (runtime.session.counters.messages_ignored, session.counters.messages_ignored) == (1, 1)


def test_a_connection_registers_once() -> None:
    """Twice would be a bug of the caller."""
    session = PluginSession()
    session.begin()
    with pytest.raises(AssertionError):
        session.begin()


@pytest.mark.parametrize("version", DIALECTS)
def test_every_version_knows_the_events_that_are_subscribed_to(version: str) -> None:
    """A bit that a runtime does not know would make it refuse the plugin, and no bit would be all of them."""
    events, answer = Runtime().answered("Configure", field(2, "containerd") + field(3, "1.7.24"))
    mask = number_of(fields(answer), 2)
    assert mask == SUBSCRIPTION == 0b110_0010_0111
    assert mask & ~DIALECTS[version].mask == 0
    assert [Configured("containerd", "1.7.24")] == events


# ---- synchronization -----------------------------------------------------------------------------


def test_a_synchronization_in_parts_is_reported_after_the_last() -> None:
    """Each part is answered with what it said of a further one, and without any update."""
    runtime = Runtime()
    assert ([], field(2, 1)) == runtime.answered("Synchronize", repeated(1, [POD_RECORD]) + field(3, 1))
    assert ([], field(2, 1)) == runtime.answered("Synchronize", repeated(2, [CONTAINER_RECORD]) + field(3, 1))
    assert ([Reported(Synchronized((POD,), (CONTAINER,)))], b"") == runtime.answered("Synchronize")


@pytest.mark.parametrize("size", [1000, 4096, 65_536, 1 << 30])
def test_a_long_synchronization_is_heard_in_pieces_of_any_size(size: int) -> None:
    """Its parts are as long as messages may be, in frames as the Go side makes them."""
    containers = [field(1, f"{number:064}") + field(2, "sandbox") + field(8, "x" * 2000) for number in range(3000)]
    parts = [repeated(1, [POD_RECORD]) + repeated(2, containers[:1500]) + field(3, 1), repeated(2, containers[1500:])]
    data = b"".join(frames(1, request(1 + 2 * at, "Synchronize", part, LIMIT_NS)) for at, part in enumerate(parts))
    runtime = Runtime()
    (report,) = [event for at in range(0, len(data), size) for event in runtime.session.receive(data[at : at + size])]
    assert isinstance(report, Reported)
    assert isinstance(report.event, Synchronized)
    assert report.event.pods == (POD,)
    assert [f"{number:064}" for number in range(3000)] == [container.id for container in report.event.containers]
    assert [field(2, field(2, 1)), b""] == [answer.data for answer in runtime.answers()]


@pytest.mark.parametrize("containers", [1, 600])
def test_what_has_begun_is_unfinished_until_its_last_byte(containers: int) -> None:
    """Of a short call and of a synchronization that is taken in pieces."""
    records = repeated(1, [POD_RECORD]) + repeated(2, [CONTAINER_RECORD + field(8, "x" * 100)] * containers)
    data = frames(PLUGIN_SERVICE, request(1, "Synchronize", records, LIMIT_NS))
    runtime = Runtime()
    assert not runtime.session.is_unfinished
    for byte in range(len(data)):
        runtime.session.receive(data[byte : byte + 1])
        assert runtime.session.is_unfinished is (byte < len(data) - 1)


def test_a_long_call_of_another_service_is_unimplemented() -> None:
    """Its payload is not a synchronization, whatever its method is called."""
    runtime = Runtime()
    payload = repeated(1, [POD_RECORD] * 2000)
    assert runtime.send(request(1, "Synchronize", payload, 0, "nri.pkg.api.v2.Plugin")) == []
    assert runtime.session.counters.calls_unknown == 1
    assert runtime.answered_after(1, "Synchronize") == ([Reported(Synchronized((), ()))], b"")


def test_an_event_between_two_parts_is_reported_and_counts() -> None:
    """The whole that follows does not undo it."""
    runtime = Runtime()
    runtime.answered("Synchronize", repeated(1, [POD_RECORD]) + field(3, 1))
    assert ([Reported(PodRemoved("sandbox"))], b"") == runtime.answered("RemovePodSandbox", repeated(1, [POD_RECORD]))
    runtime.call("StartContainer", repeated(1, [POD_RECORD]) + repeated(2, [CONTAINER_RECORD]))
    runtime.answers()
    assert ([Reported(Synchronized((POD,), (CONTAINER,)))], b"") == runtime.answered("Synchronize")


# ---- events --------------------------------------------------------------------------------------

REPORTS: dict[NriEvent, RuntimeEvent] = {
    NriEvent.RUN_POD_SANDBOX: PodStarted(POD),
    NriEvent.STOP_POD_SANDBOX: PodStopped("sandbox"),
    NriEvent.REMOVE_POD_SANDBOX: PodRemoved("sandbox"),
    NriEvent.STOP_CONTAINER: ContainerStopped("container"),
    NriEvent.REMOVE_CONTAINER: ContainerRemoved("container"),
}


@pytest.mark.parametrize("event", REPORTS)
def test_an_event_is_reported_over_either_call(event: NriEvent) -> None:
    """As StateChange of older runtimes, and as the call of its own of newer ones; the answer is empty."""
    runtime = Runtime()
    method = next(method for method, each in EVENT_BY_METHOD.items() if each is event)
    expected = ([Reported(REPORTS[event])], b"")
    assert expected == runtime.answered(method, repeated(1, [POD_RECORD]) + repeated(2, [CONTAINER_RECORD]))
    payload = field(1, event) + repeated(2, [POD_RECORD]) + repeated(3, [CONTAINER_RECORD])
    assert expected == runtime.answered("StateChange", payload)


@pytest.mark.parametrize("event", REPORTS)
def test_an_event_without_an_identity_is_answered_and_counted(event: NriEvent) -> None:
    """It cannot be reported, and the runtime's work goes on."""
    runtime = Runtime()
    assert runtime.answered("StateChange", field(1, event)) == ([], b"")
    assert runtime.session.counters.records_ignored == 1


@pytest.mark.parametrize("number", [0, 4, 5, 7, 8, 9, 12, 13, 14, 99, -1])
def test_an_event_that_nobody_subscribed_to_is_answered_empty(number: int) -> None:
    """Also one that no release has."""
    payload = field(1, number) + repeated(2, [POD_RECORD]) + repeated(3, [CONTAINER_RECORD])
    assert Runtime().answered("StateChange", payload) == ([], b"")


@pytest.mark.parametrize("method", sorted(ANSWERED_EMPTY))
def test_a_call_that_nobody_subscribed_to_is_answered_empty(method: str) -> None:
    """An error would fail the creation of a container; whatever its payload is, it is not even read."""
    assert Runtime().answered(method, b"\xff") == ([], b"")


def test_a_shutdown_is_answered() -> None:
    """With an empty payload, as the runtimes send it."""
    assert ([RuntimeShutDown()], b"") == Runtime().answered("Shutdown")


# ---- a starting container ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["StartContainer", "StateChange"])
def test_a_start_waits_for_its_answer(method: str) -> None:
    """It is answered once, however often the caller answers."""
    runtime = Runtime()
    parts = (POD_RECORD, CONTAINER_RECORD)
    payload = field(1, 6) + repeated(2, parts[:1]) + repeated(3, parts[1:])
    if method == "StartContainer":
        payload = repeated(1, parts[:1]) + repeated(2, parts[1:])
    assert [StartRequested(StartCall(1, LIMIT_NS), POD, CONTAINER)] == runtime.call(method, payload)
    assert runtime.answers() == []
    runtime.session.answer(StartCall(1, LIMIT_NS))
    runtime.session.answer(StartCall(1, LIMIT_NS))
    assert [Message(PLUGIN_SERVICE, 1, RESPONSE, 0, b"")] == runtime.answers()


@pytest.mark.parametrize("payload", [b"", repeated(1, [POD_RECORD]), repeated(2, [CONTAINER_RECORD])])
def test_a_start_without_an_identity_is_answered_at_once(payload: bytes) -> None:
    """Nothing can be done for it."""
    runtime = Runtime()
    assert runtime.answered("StartContainer", payload) == ([], b"")
    assert runtime.session.counters.records_ignored == 1


def test_starts_above_the_limit_are_answered_at_once() -> None:
    """A runtime that does not wait for answers cannot make the session hold any number of calls; each is reported."""
    runtime = Runtime()
    payload = repeated(1, [POD_RECORD]) + repeated(2, [CONTAINER_RECORD])
    for _ in range(STARTS_MAX):
        assert isinstance(runtime.call("StartContainer", payload)[0], StartRequested)
    assert ([Reported(ContainerStarting(POD, CONTAINER))], b"") == runtime.answered("StartContainer", payload)


# ---- what is not known, and what is refused ------------------------------------------------------


@pytest.mark.parametrize("service", ["nri.pkg.api.v1alpha1.Plugin", "nri.pkg.api.v2.Plugin", ""])
def test_an_unknown_call_is_unimplemented(service: str) -> None:
    """Code 12 is what runtimes fall back on; the call is counted, and the next one is heard."""
    runtime = Runtime()
    method = "Sing" if service.endswith("v1alpha1.Plugin") else "Shutdown"
    assert runtime.send(request(1, method, b"", 0, service)) == []
    (answer,) = runtime.answers()
    status = fields(bytes_of(fields(answer.data), 1))
    assert (answer.stream, number_of(status, 1)) == (1, 12)
    assert f"{service}/{method} is not served by this plugin" == text_of(status, 2)
    assert runtime.session.counters.calls_unknown == 1
    assert runtime.send(request(3, "Shutdown", b"", 0)) == [RuntimeShutDown()]


def test_messages_of_other_types_are_ignored_and_counted() -> None:
    """Data of streams, types that nobody knows, answers to no call, and calls where only answers belong."""
    runtime = Runtime()
    for kind in (0, RESPONSE, 3, 255):
        assert runtime.send(message_bytes(1, kind, b"\xff")) == []
    assert runtime.send(request(1, "Shutdown", b"", 0), RUNTIME_SERVICE) == []
    assert (runtime.answers(), runtime.session.counters.messages_ignored) == ([], 5)


def test_frames_of_unknown_connections_are_dropped_and_counted() -> None:
    """The message around them is heard."""
    runtime = Runtime()
    message = request(1, "Shutdown", b"", 0)
    data = frame(1, message[:9]) + frame(3, b"x" * 5000) + frame(1, message[9:])
    assert runtime.session.receive(data) == [RuntimeShutDown()]
    assert runtime.session.counters.frames_dropped == 1


def test_messages_of_two_connections_may_be_interleaved() -> None:
    """Each is put together from its own frames."""
    runtime = Runtime()
    call, answer = request(1, "Shutdown", b"", 0), message_bytes(1, RESPONSE, field(2, b"x" * 30))
    data = frame(1, call[:5]) + frame(2, answer[:20]) + frame(1, call[5:30]) + frame(2, answer[20:]) + frame(1, call[30:])
    assert runtime.session.receive(data) == [Registered(), RuntimeShutDown()]


@pytest.mark.parametrize("streams", [(2,), (1, 1), (3, 1), (0,)])
def test_a_stream_that_is_even_or_was_used_is_refused(streams: tuple[int, ...]) -> None:
    """An answer on it could be taken for that of another call."""
    calls = b"".join(frames(1, request(stream, "Shutdown", b"", 0)) for stream in streams)
    with pytest.raises(ProtocolError, match=f"a call on stream {streams[-1]} after"):
        Runtime().session.receive(calls)


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"")[:4] + b"\xff\xff\xff\xff",
        frame(1, b"\x01\x00\x00\x00" + b"\x00" * 6),
        frames(1, message_bytes(1, REQUEST, b"\xff")),
        frames(1, request(1, "Synchronize", b"\x0a\x02\x0a\xff", 0)),
        frames(2, message_bytes(1, RESPONSE, b"\x0a\x01\xff")),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_nri_is_refused(data: bytes) -> None:
    """Frames, messages, calls, records and answers that break the rules, and another protocol."""
    runtime = Runtime()
    with pytest.raises(ProtocolError, match="nri: "):
        runtime.session.receive(data)


def test_what_is_sent_fits_the_frames_that_runtimes_read() -> None:
    """Even an answer that repeats a name as long as names may be, and even to many calls at once."""
    runtime = Runtime()
    calls = [request(stream, "m" * 9000, b"", 0, "s" * 9000) for stream in range(1, 400, 2)]
    runtime.session.receive(b"".join(frames(1, call) for call in calls))
    output = runtime.session.take_output()
    reader = Reader()
    assert len(reader.receive(output)) == 200
    assert reader.largest_frame_bytes <= 4096
    assert runtime.session.take_output() == b""


def test_streams_of_answers_are_those_of_the_calls() -> None:
    """In the order of the calls, each once."""
    runtime = Runtime()
    for _ in range(5):
        runtime.call("Shutdown")
    streams = [answer.stream for answer in runtime.answers()]
    assert all(before < after for before, after in pairwise(streams))
    assert streams == [1, 3, 5, 7, 9]
