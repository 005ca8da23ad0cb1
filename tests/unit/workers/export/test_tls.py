"""TLS towards a sink: what is checked, and the sentence for each thing that can be wrong with a certificate."""

import os
import socket
from pathlib import Path

import pytest
from fakes.certificates import make_authority, make_certificate, server_context
from fakes.scripted_server import ScriptedServer, answering, http, serving

from agent.model.timebase import S
from workers.export.endpoint import Endpoint
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an authority and another one."""
    made = tmp_path_factory.mktemp("tls")
    make_authority(made)
    make_authority(made, "other")
    make_certificate(made, "server")
    return made


def test_a_known_authority_is_trusted_and_the_connection_kept(folder: Path) -> None:
    """Tickets that TLS 1.3 sends behind the handshake do not make the connection look closed."""
    with serving(answering(OK, OK), context=server_context(folder / "server.pem")) as server:
        client = client_of(server.port, ca_file=str(folder / "ca.pem"))
        for _ in range(2):
            found = client.post("/", b"body", {})
            assert isinstance(found, HttpAnswer)
            assert found.body == b"fine"
        client.close()
    assert server.connections == 1


def test_a_client_certificate_is_shown(folder: Path) -> None:
    """Key and certificate in one file or in two; without one the server refuses."""
    make_certificate(folder, "client")
    context = server_context(folder / "server.pem", folder / "ca.pem")
    ca = str(folder / "ca.pem")
    with serving(answering(OK), context=context) as server:
        assert isinstance(post(server.port, ca_file=ca, cert_file=str(folder / "client.pem")), HttpAnswer)
        two = {"cert_file": str(folder / "client.crt"), "key_file": str(folder / "client.key")}
        assert isinstance(post(server.port, ca_file=ca, **two), HttpAnswer)
        assert "wants one; set cert_file and key_file" in sentence_of(post(server.port, ca_file=ca))


def test_unknown_authorities_are_refused(folder: Path) -> None:
    """With the remedy; `tls_verify = false` takes them."""
    with serving(answering(OK), context=server_context(folder / "server.pem")) as server:
        for fields in ({}, {"ca_file": str(folder / "other.pem")}):
            assert "set ca_file to the authority that signed it" in sentence_of(post(server.port, **fields))
        assert isinstance(post(server.port, is_verified=False), HttpAnswer)


def test_an_expired_certificate_is_refused(folder: Path) -> None:
    """The remedy is at the other side, or the clock."""
    expired = make_certificate(folder, "expired", days=-1)
    with serving(answering(OK), context=server_context(expired)) as server:
        assert "has expired; renew it there" in sentence_of(post(server.port, ca_file=str(folder / "ca.pem")))


def test_another_name_is_refused_and_can_be_expected(folder: Path) -> None:
    """`server_name` says which name is right."""
    named = make_certificate(folder, "named", host="collector.internal")
    ca = str(folder / "ca.pem")
    with serving(answering(OK), context=server_context(named)) as server:
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


def test_exchanged_files_are_read_again(folder: Path, tmp_path: Path) -> None:
    """A certificate that was renewed is used at the next connection."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes((folder / "other.pem").read_bytes())
    with serving(answering(OK), context=server_context(folder / "server.pem")) as server:
        client = client_of(server.port, ca_file=str(ca))
        assert "set ca_file" in sentence_of(client.post("/", b"", {}))
        ca.write_bytes((folder / "ca.pem").read_bytes() + b"\n")
        assert isinstance(client.post("/", b"", {}), HttpAnswer)
        client.close()
