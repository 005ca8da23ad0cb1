"""The workloads that the settings file describes, as orders. PURE."""

from agent.config import Config
from agent.model.errors import ConfigError
from agent.model.foreign import readable
from agent.model.workload_section import SECTION, order_of
from workers.keeper.protocol import WorkloadSpec
from workers.keeper.refusal import WorkloadRefused
from workers.workloads.order_check import parse_spec


def specs_of(config: Config) -> dict[str, WorkloadSpec]:
    """Each by its name. *Raises:* WorkloadRefused, ConfigError for what `check_described` refuses."""
    return {name: parse_spec(order_of(name, section)) for name, section in config.workloads.items()}


def check_described(config: Config, origin: str) -> None:
    """*Raises:* ConfigError for a workload that could never start, whatever this host is."""
    for name, section in config.workloads.items():
        try:
            parse_spec(order_of(name, section, origin=origin))
        except WorkloadRefused as refused:
            raise ConfigError(f"{origin}: {SECTION}.{readable(name, 80)}", refused.problem, refused.remedy) from refused
