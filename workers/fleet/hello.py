"""Who this node is, for a hub."""

from contextlib import suppress

from agent.fleet.live import NAME_CHARACTERS_MAX
from agent.fleet.message import PROTOCOL_VERSION, NodeHello, Purpose
from agent.kernel_file import read_text
from agent.launch import Launch
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.store.install import read_install

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def hello_of(launch: Launch, purpose: Purpose) -> NodeHello:
    """The hello of this worker.

    *Raises:* StorageError where the state folder has no install id yet; the worker is started again.
    """
    install = read_install(launch.state_dir)
    if install is None:
        raise StorageError(readable(launch.state_dir), "it has no file install-id yet", "the writer makes it; this is tried again")
    return node_hello(purpose, install, launch.identity.run, launch.host, launch.agent_version)


def node_hello(purpose: Purpose, install: str, run: str, host: str, agent_version: str) -> NodeHello:
    """The hello of a connection for this purpose."""
    boot = ""
    with suppress(OSError):
        boot = read_text(BOOT_ID, 64).strip()
    return NodeHello(PROTOCOL_VERSION, purpose, install, run, readable(host, NAME_CHARACTERS_MAX), boot, agent_version)
