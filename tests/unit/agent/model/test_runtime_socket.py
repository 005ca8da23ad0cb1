"""Where runtimes listen."""

from agent.model.runtime_socket import CRI_SOCKETS, RUNTIME_SOCKETS


def test_each_socket_has_one_absolute_place_and_a_name() -> None:
    """Two names of one place would ask a runtime twice."""
    places = [place for _, place in RUNTIME_SOCKETS]
    assert len(set(places)) == len(places) == len({name for name, _ in RUNTIME_SOCKETS})
    assert [place for place in places if not (place.startswith("/") and place.endswith(".sock"))] == []


def test_docker_s_socket_does_not_speak_cri() -> None:
    """It is looked at as a sign of the engine, and never asked for pods."""
    assert set(RUNTIME_SOCKETS) - set(CRI_SOCKETS) == {("docker", "/run/docker.sock")}
