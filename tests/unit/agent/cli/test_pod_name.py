"""What pods and units are called."""

from agent.cli.pod_name import namespace_of, pod_name


def test_a_pod_is_called_by_namespace_and_name() -> None:
    """A service has a name alone; what nobody reported has none."""
    assert [pod_name("shop", "web"), pod_name(None, "nginx.service"), pod_name("shop", None)] == ["shop/web", "nginx.service", None]


def test_paths_of_units_have_no_namespace() -> None:
    """A service is identified by its path, which begins with a slash."""
    found = [namespace_of(name) for name in ("shop/web", "web", "/system.slice/x.service")]
    assert found == ["shop", "", ""]
