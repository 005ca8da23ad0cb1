"""TLS towards a sink: what is checked, and the sentence for each thing that can be wrong with a certificate."""

import os
import socket
import ssl
from pathlib import Path

import pytest
from fakes.scripted_server import ScriptedServer, answering, http, serving
from harness.sinks.certificates import Authority, Identity

from agent.endpoint import Endpoint
from agent.model.timebase import S
from workers.export.http_answer import HttpAnswer
from workers.export.http_client import HttpClient
from workers.export.http_option import HttpSetup
from workers.export.sink import Later, Paused

OK = http(200, b"fine")


def post(port: int, **fields: object) -> HttpAnswer | Later | Paused:
    """One request over TLS."""
    client = client_of(port, **fields)
    try:
        return client.post("/", b"body", {})
    finally:
        client.close()


def client_of(port: int, **fields: object) -> HttpClient:
    """A client of a server on loopback, over TLS."""
    setup = HttpSetup("an OTLP receiver", 5 * S, **fields)  # type: ignore[arg-type]  # fields of a test
    return HttpClient(Endpoint(True, "127.0.0.1", port), setup)


def sentence_of(found: HttpAnswer | Later | Paused) -> str:
    """Of what a person must repair."""
    assert isinstance(found, Paused), found
    return found.sentence


def server_context(identity: Identity, client_authority: Path | None = None) -> ssl.SSLContext:
    """How a server of these tests speaks TLS; with an authority it wants a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that signs for the servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that signs for nobody here."""
    return Authority(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def server_identity(authority: Authority) -> Identity:
    """Of a server on loopback."""
    return authority.server("127.0.0.1")


def test_a_known_authority_is_trusted_and_the_connection_kept(authority: Authority, server_identity: Identity) -> None:
    """Tickets that TLS 1.3 sends behind the handshake do not make the connection look closed."""
    with serving(answering(OK, OK), context=server_context(server_identity)) as server:
        client = client_of(server.port, ca_file=str(authority.certificate))
        for _ in range(2):
            found = client.post("/", b"body", {})
            assert isinstance(found, HttpAnswer)
            assert found.body == b"fine"
        client.close()
    assert server.connections == 1


def test_a_client_certificate_is_shown(authority: Authority, server_identity: Identity, tmp_path: Path) -> None:
    """Key and certificate in one file or in two; without one the server refuses."""
    ours = authority.client("node-1")
    one = tmp_path / "one.pem"
    one.write_bytes(ours.key.read_bytes() + ours.certificate.read_bytes())
    ca = str(authority.certificate)
    with serving(answering(OK), context=server_context(server_identity, authority.certificate)) as server:
        assert isinstance(post(server.port, ca_file=ca, cert_file=str(one)), HttpAnswer)
        two = {"cert_file": str(ours.certificate), "key_file": str(ours.key)}
        assert isinstance(post(server.port, ca_file=ca, **two), HttpAnswer)
        assert "wants one; set cert_file and key_file" in sentence_of(post(server.port, ca_file=ca))


def test_unknown_authorities_are_refused(server_identity: Identity, other: Authority) -> None:
    """With the remedy; `tls_verify = false` takes them."""
    with serving(answering(OK), context=server_context(server_identity)) as server:
        for fields in ({}, {"ca_file": str(other.certificate)}):
            assert "set ca_file to the authority that signed it" in sentence_of(post(server.port, **fields))
        assert isinstance(post(server.port, is_verified=False), HttpAnswer)


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    """The remedy is at the other side, or the clock."""
    with serving(answering(OK), context=server_context(authority.server("127.0.0.1", expired=True))) as server:
        assert "has expired; renew it there" in sentence_of(post(server.port, ca_file=str(authority.certificate)))


def test_another_name_is_refused_and_can_be_expected(authority: Authority) -> None:
    """`server_name` says which name is right."""
    ca = str(authority.certificate)
    with serving(answering(OK), context=server_context(authority.server("collector.internal"))) as server:
        assert "is of another name than 127.0.0.1; set server_name" in sentence_of(post(server.port, ca_file=ca))
        assert isinstance(post(server.port, ca_file=ca, server_name="collector.internal"), HttpAnswer)


def test_a_server_without_tls_is_told() -> None:
    """A server of plain HTTP answers to the first bytes of TLS, which no request begins with."""

    def act(connection: socket.socket, _server: ScriptedServer) -> None:
        connection.recv(65536)
        connection.sendall(http(400))

    with serving(act) as server:
        assert "does not answer with TLS at this port; write the endpoint with http://" in sentence_of(post(server.port))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ca_file": "/nowhere"}, "ca_file: /nowhere cannot be used (no such file or directory)"),
        ({"ca_file": os.devnull}, "ca_file: /dev/null cannot be used"),
        ({"cert_file": "/nowhere"}, "cert_file: /nowhere or its key cannot be used"),
    ],
)
def test_files_that_cannot_be_used_are_named(fields: dict[str, str], words: str) -> None:
    """Before anything is sent."""
    with serving(answering(OK)) as server:
        assert words in sentence_of(post(server.port, **fields))


def test_exchanged_files_are_read_again(authority: Authority, other: Authority, server_identity: Identity, tmp_path: Path) -> None:
    """A certificate that was renewed is used at the next connection."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(other.certificate.read_bytes())
    with serving(answering(OK), context=server_context(server_identity)) as server:
        client = client_of(server.port, ca_file=str(ca))
        assert "set ca_file" in sentence_of(client.post("/", b"", {}))
        ca.write_bytes(authority.certificate.read_bytes() + b"\n")
        assert isinstance(client.post("/", b"", {}), HttpAnswer)
        client.close()
