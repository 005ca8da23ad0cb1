"""Variables that Kubernetes and Docker make of a service's name are nobody's settings."""

import time

import pytest

from agent.config import SETTINGS, parse_config, service_variables
from agent.model.errors import ConfigError
from agent.model.service_variable import is_service_variable
from agent.setting import AnySetting

SERVICES = sorted(
    {
        "-".join(words[:count]).lower()
        for setting in SETTINGS
        for words in [setting.environment_name.split("_")]
        for count in range(1, len(words) + 1)
    }
)


def of_service(name: str, ports: list[tuple[str, int, str]], address: str = "10.0.0.1") -> dict[str, str]:
    """What kubelet puts into the environment of a pod beside this service."""
    prefix = name.upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    made = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0][1])}
    made[f"{prefix}_PORT"] = f"{ports[0][2].lower()}://{host}:{ports[0][1]}"
    for port_name, number, protocol in ports:
        if port_name:
            made[f"{prefix}_SERVICE_PORT_{port_name.upper().replace('-', '_')}"] = str(number)
        of_port = f"{prefix}_PORT_{number}_{protocol}"
        made |= {of_port: f"{protocol.lower()}://{host}:{number}", f"{of_port}_PROTO": protocol.lower()}
        made |= {f"{of_port}_PORT": str(number), f"{of_port}_ADDR": address}
    return made


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_services_named_like_any_setting_or_its_beginning_set_nothing(address: str) -> None:
    """Named ports, unnamed ones, every protocol: the configuration is that of an empty environment."""
    for service in SERVICES:
        for ports in (
            [("", 9464, "TCP")],
            [("http", 80, "TCP"), ("https-metrics", 9464, "TCP")],
            [("dns", 53, "UDP"), ("s", 7, "SCTP")],
        ):
            environment = of_service(service, ports, address)
            assert parse_config(SETTINGS, environment=environment).values == {}, service
            assert service_variables({**environment, "HOME": "/root"}) == sorted(environment)


def test_a_linked_container_sets_nothing() -> None:
    """`docker run --link web:evergauge`, with a range of ports and an environment of its own."""
    environment = {
        "EVERGAUGE_NAME": "/app/evergauge",
        "EVERGAUGE_PORT": "tcp://172.17.0.5:6379",
        "EVERGAUGE_PORT_6379_TCP_START": "tcp://172.17.0.5:6379",
        "EVERGAUGE_PORT_6379_TCP_PORT_START": "6379",
        "EVERGAUGE_PORT_6379_TCP_END": "tcp://172.17.0.5:6381",
        "EVERGAUGE_PORT_6379_TCP_PORT_END": "6381",
        "EVERGAUGE_ENV_PATH": "/usr/bin",
        "EVERGAUGE_ENV_no_proxy": "x",
        "EVERGAUGE_HOST_NAME": "/app/evergauge_host",
    }
    assert parse_config(SETTINGS, environment=environment).values == {}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_that_somebody_wrote_is_never_taken_for_a_service(setting: AnySetting) -> None:
    """Its name, with its default and with words of its kind."""
    for value in (setting.show(setting.default), "9999", "/run/x/y", "a", "10.0.0.1", ""):  # type: ignore[arg-type]  # its own
        assert not is_service_variable(setting.environment_name, value)


def test_the_port_is_set_by_a_number_beside_a_service_of_its_name() -> None:
    """A number is the setting; an endpoint is the service's."""
    service = of_service("evergauge", [("gateway", 9464, "TCP")])
    settings = parse_config(SETTINGS, environment={**service, "EVERGAUGE_GATEWAY_PORT": "9999"})
    assert settings.values == {"gateway.port": 9999}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVERGAUGE_PORT", "9999"),
        ("EVERGAUGE_GATEWAY_PROT", "tcp://10.0.0.1:9464"),
        ("EVERGAUGE_GATEWAY_PORTS", "tcp://10.0.0.1:9464"),
        ("EVERGAUGE_PORT_9464", "tcp://10.0.0.1:9464"),
        ("EVERGAUGE_SERVICE", "x"),
        ("EVERGAUGE_SERVICE_HOSTS", "10.0.0.1"),
        ("EVERGAUGE_METRICS_SERVICE", "10.0.0.1"),
        ("EVERGAUGE_METRICS_PORT_80_ICMP", "x"),
        ("EVERGAUGE_NAME", "node-7"),
        ("EVERGAUGE_\udcff\n", "x"),
    ],
)
def test_a_misspelled_setting_still_stops_the_start(name: str, value: str) -> None:
    """What no service makes is somebody's typing."""
    with pytest.raises(ConfigError, match="there is no such setting") as refused:
        parse_config(SETTINGS, environment={name: value})
    assert refused.value.sentence.isprintable()


def test_the_port_setting_with_a_wrong_value_is_still_refused() -> None:
    """Only an endpoint is a service's."""
    for text in ("tcp", "http://10.0.0.1:80", "tcp://", "x"):
        with pytest.raises(ConfigError, match="is not accepted"):
            parse_config(SETTINGS, environment={"EVERGAUGE_GATEWAY_PORT": text})


def test_a_name_of_any_length_is_judged_at_once() -> None:
    """The kernel takes 128 KiB for one variable; the match looks at a bounded part of it."""
    hostile = "EVERGAUGE_" + "SERVICE_PORT_" * 10_000 + "-"
    begun_ns = time.process_time_ns()
    assert not is_service_variable(hostile, "tcp://" + "x" * 130_000)
    # Milliseconds at most; a pattern that tries every split would need minutes.
    assert time.process_time_ns() - begun_ns < 1_000_000_000
