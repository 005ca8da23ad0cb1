"""Which files exist where, by profile and mode. PURE. Other modules compute their content. *Source:* resctrl.rst."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from workers.resctrl.emulator.command import UINT_MAX, CommandStatus, read_number, text_of
from workers.resctrl.emulator.counter import Counters
from workers.resctrl.emulator.cpu import CpuFiles
from workers.resctrl.emulator.event_file import EmulatedEventFile, Gauges, Host
from workers.resctrl.emulator.group import EmulatedGroup, GroupKind
from workers.resctrl.emulator.node import READ_ONLY, Numbering, Shape, Show, Write
from workers.resctrl.emulator.ports import Caller, OpenFile
from workers.resctrl.emulator.profile import LOCAL, TOTAL, BandwidthControl, CacheControl, Profile
from workers.resctrl.emulator.schemata import Controls, Schema
from workers.resctrl.emulator.task import TaskFiles
from workers.resctrl.emulator.traffic import MemoryTraffic


class Threshold(Protocol):
    """`max_threshold_occupancy`."""

    threshold_bytes: int

    def set_threshold(self, wanted_bytes: int) -> None:
        """*Raises:* OSError(EINVAL) above the size of the cache."""
        ...


class Parts(NamedTuple):
    """The parts of the emulation whose files these are."""

    profile: Profile
    status: CommandStatus
    tasks: TaskFiles
    cpus: CpuFiles
    controls: Controls
    counters: Counters
    traffic: MemoryTraffic
    gauges: Gauges
    threshold: Threshold


class Layout:
    """The file trees of the three kinds of group; built again when files come or go."""

    def __init__(self, host: Host, parts: Parts):
        self._host = host
        self._parts = parts
        self._numbering = Numbering()
        self.shapes: dict[GroupKind, Shape] = {}
        self.build()

    def build(self) -> None:
        """Makes the shapes again, after files have appeared or disappeared."""
        self.shapes = {kind: self._shape(kind) for kind in GroupKind}

    def _shape(self, kind: GroupKind) -> Shape:
        shape = Shape(self._numbering)
        parts, profile = self._parts, self._parts.profile
        shape.text(self._host, "tasks", parts.tasks.show, parts.tasks.write)
        shape.text(self._host, "cpus", parts.cpus.show_mask, parts.cpus.write_mask)
        shape.text(self._host, "cpus_list", parts.cpus.show_list, parts.cpus.write_list)
        if kind is not GroupKind.MONITORING:
            self._add_control_files(shape)
        if profile.debug:
            shape.text(self._host, "mon_hw_id", lambda group, now_ns: f"{group.rmid}\n")
        if profile.counters:
            shape.text(self._host, "mbm_L3_assignments", parts.counters.show_assignments, parts.counters.write_assignments)
        if kind is GroupKind.ROOT:
            self._add_info(shape)
        if kind is not GroupKind.MONITORING:
            shape.directory("mon_groups")
        self._add_events(shape)
        return shape

    def _add_control_files(self, shape: Shape) -> None:
        controls, profile = self._parts.controls, self._parts.profile
        shape.text(self._host, "schemata", controls.show, controls.write)
        shape.text(self._host, "mode", controls.show_mode, controls.write_mode)
        shape.text(self._host, "size", controls.show_size)
        if profile.debug:
            shape.text(self._host, "ctrl_hw_id", lambda group, now_ns: f"{group.closid}\n")
        if profile.mba_mbps:
            shape.text(self._host, "mba_MBps_event", controls.show_feedback_event, controls.write_feedback_event)

    def _add_events(self, shape: Shape) -> None:
        shape.directory("mon_data")
        for cache in self._parts.profile.caches:
            nodes = tuple(node for node in (cache.nodes or (cache.id,)) if self._parts.traffic.caches[node].online)
            if not nodes:
                continue
            above = f"mon_data/mon_L3_{cache.id:02d}"
            shape.directory(above)
            self._add_event_files(shape, above, nodes)
            for node in nodes if cache.nodes else ():
                shape.directory(f"{above}/mon_sub_L3_{node:02d}")
                self._add_event_files(shape, f"{above}/mon_sub_L3_{node:02d}", (node,))

    def _add_event_files(self, shape: Shape, above: str, domains: tuple[int, ...]) -> None:
        places = tuple(self._parts.traffic.position(domain) for domain in domains)
        for event in self._parts.profile.events:
            rest = f"{above}/{event}"
            shape.file(rest, READ_ONLY, self._event_opener(rest, places, event))

    def _event_opener(self, rest: str, places: tuple[int, ...], event: str) -> Callable[[EmulatedGroup], OpenFile]:
        measure = self._parts.gauges.measure(event)
        return lambda group: EmulatedEventFile(self._host, group, rest, places, measure)

    def _add_info(self, shape: Shape) -> None:
        shape.directory("info")
        shape.text(self._host, "info/last_cmd_status", lambda group, now_ns: self._parts.status.text)
        for schema in self._parts.controls.schemas:
            self._add_control_info(shape, schema)
        self._add_monitoring_info(shape)

    def _add_control_info(self, shape: Shape, schema: Schema) -> None:
        above = f"info/{schema.name}"
        shape.directory(above)
        self._constant(shape, f"{above}/num_closids", schema.closids)
        if schema.bandwidth is not None:
            self._add_bandwidth_info(shape, above, schema.bandwidth)
        else:
            # Only a cache control makes schemas without a bandwidth.
            assert self._parts.profile.cache_control is not None
            self._add_cache_info(shape, above, schema, self._parts.profile.cache_control)

    def _add_cache_info(self, shape: Shape, above: str, schema: Schema, control: CacheControl) -> None:
        self._constant(shape, f"{above}/cbm_mask", f"{control.full_mask:x}")
        self._constant(shape, f"{above}/min_cbm_bits", control.min_bits)
        self._constant(shape, f"{above}/shareable_bits", f"{control.shareable:x}")
        shape.text(self._host, f"{above}/bit_usage", lambda group, now_ns: self._parts.controls.show_bit_usage(schema))
        self._constant(shape, f"{above}/sparse_masks", int(control.sparse))

    def _add_bandwidth_info(self, shape: Shape, above: str, control: BandwidthControl) -> None:
        self._constant(shape, f"{above}/min_bandwidth", control.minimum)
        self._constant(shape, f"{above}/bandwidth_gran", control.step)
        self._constant(shape, f"{above}/delay_linear", int(control.linear))
        if control.throttle is not None:
            self._constant(shape, f"{above}/thread_throttle_mode", control.throttle)

    def _add_monitoring_info(self, shape: Shape) -> None:
        profile, above = self._parts.profile, "info/L3_MON"
        shape.directory(above)
        self._constant(shape, f"{above}/num_rmids", profile.rmids)
        shape.text(self._host, f"{above}/mon_features", lambda group, now_ns: self._features())
        shape.text(
            self._host,
            f"{above}/max_threshold_occupancy",
            lambda group, now_ns: f"{self._parts.threshold.threshold_bytes}\n",
            self._write_threshold,
        )
        if profile.counters:
            self._add_counter_info(shape, above)
        if self._configurable:
            for event in (TOTAL, LOCAL):
                shape.text(self._host, f"{above}/{event}_config", *self._configuration(event))

    @property
    def _configurable(self) -> bool:
        """With counters in use the filters take the place of the configurations."""
        return self._parts.profile.configurable_events and not self._parts.counters.enabled

    def _features(self) -> str:
        lines = []
        for event in self._parts.profile.events:
            lines.append(f"{event}\n")
            if self._configurable and event in (TOTAL, LOCAL):
                lines.append(f"{event}_config\n")
        return "".join(lines)

    def _add_counter_info(self, shape: Shape, above: str) -> None:
        counters = self._parts.counters
        shape.text(self._host, f"{above}/mbm_assign_mode", counters.show_mode, counters.write_mode)
        shape.text(self._host, f"{above}/num_mbm_cntrs", counters.show_total)
        shape.text(self._host, f"{above}/available_mbm_cntrs", counters.show_available)
        shape.text(self._host, f"{above}/mbm_assign_on_mkdir", counters.show_on_mkdir, counters.write_on_mkdir)
        shape.directory(f"{above}/event_configs")
        for event in (TOTAL, LOCAL):
            shape.directory(f"{above}/event_configs/{event}")
            shape.text(self._host, f"{above}/event_configs/{event}/event_filter", *self._filter(event))

    def _filter(self, event: str) -> tuple[Show, Write]:
        counters = self._parts.counters
        return (
            lambda group, now_ns: counters.show_filter(event),
            lambda group, content, caller, now_ns: counters.write_filter(event, content, now_ns),
        )

    def _configuration(self, event: str) -> tuple[Show, Write]:
        counters = self._parts.counters
        return (
            lambda group, now_ns: counters.show_configuration(event),
            lambda group, content, caller, now_ns: counters.write_configuration(event, content, now_ns),
        )

    def _write_threshold(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        self._parts.threshold.set_threshold(read_number(text_of(content), 0, maximum=UINT_MAX))

    def _constant(self, shape: Shape, rest: str, value: object) -> None:
        shape.text(self._host, rest, lambda group, now_ns: f"{value}\n")
