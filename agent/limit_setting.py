"""The settings of what workers may use. PURE. They are part of `agent.config.SETTINGS`; a worker may have limits of its own."""

from agent.model.limit import CPU_PER_CORE
from agent.setting import AUTO_BYTES, AUTO_PERCENT, AutoSize, Percent, Switch, Whole

# What a worker may use. `auto` for the processor is a fifth of a core for a sampler and each tick in a second, a core for an
# exporter and half of one for all others; for memory 256 MiB for a sampler and 512 MiB for all others. Standing load is some tenth
# of that; a limit is for what goes wrong, and not for what is busy.
CPU_LIMIT = Percent("supervisor.cpu_limit", AUTO_PERCENT, 0, 1024 * CPU_PER_CORE, "most processor time of a worker, of one core")
MEMORY_LIMIT = AutoSize("supervisor.memory_limit", AUTO_BYTES, 0, 1 << 40, "most resident memory of a worker; 0: no limit")
# The process sampler keeps as many files open as the system lets it.
DESCRIPTOR_LIMIT = Whole("supervisor.descriptor_limit", 0, 0, 1 << 30, "most open files of a worker; 0: no limit of its own")
# Four fifths of what is kept: then there is still room for what is to be left out.
QUEUE_LIMIT = AutoSize(
    "supervisor.queue_limit",
    AUTO_BYTES,
    0,
    1 << 30,
    "most rows of a worker that the writer has not taken; auto: 80 % of outbox.buffer_bytes; 0: no limit",
)
GOVERNOR_ENABLED = Switch(
    "supervisor.governor", True, "slow a worker down, or restart it, that uses more than its limits; false: measure only"
)
