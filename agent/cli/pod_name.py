"""What a pod or unit is called on a screen. PURE, light."""


def pod_name(namespace: object, name: object) -> str | None:
    """`namespace/name`. *Absent:* None where no container runtime has reported them."""
    if not isinstance(name, str) or not name:
        return None
    return f"{namespace}/{name}" if isinstance(namespace, str) and namespace else name


def namespace_of(displayed: str) -> str:
    """The namespace of a `namespace/name`; empty: it has none. *Range:* uids of units are paths, which begin with a slash."""
    return "" if displayed.startswith("/") else displayed.rpartition("/")[0]
