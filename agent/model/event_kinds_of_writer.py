"""The kinds of events and conditions that the writer announces. PURE."""

from agent.model.event_kind import EventSeverity, condition, event

_INFO, _WARNING, _ERROR = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.ERROR
_NOTHING = "Nothing."
_DISK = "Look at the disk, its file system and the kernel's log."
_SET_ASIDE = "Look at the file in the folder set-aside, then remove it."
_OTHERS = "Find out which program changes files in the agent's state folder."
_ROOM = "Make room on the disk, or set storage.quota."

WRITER_KINDS = (
    event(
        "data_gap",
        _WARNING,
        "Rows or ticks are missing that were due; table gap has which, and why.",
        "Look at the reasons; docs/gaps.md says what each means.",
        "none at steady load; some when a worker or the machine was stopped",
    ),
    event("sealed", _INFO, "A segment of the spool became Parquet files.", _NOTHING, "one in each seal interval"),
    event("bad_rows", _ERROR, "Stored rows do not fit their table.", "Report it: it is a bug of the sampler.", "none"),
    event("segment_lost", _ERROR, "A segment was removed before it was sealed.", _OTHERS, "none"),
    event("segment_set_aside", _ERROR, "A segment that cannot be sealed was put into the folder set-aside.", _SET_ASIDE, "none"),
    event("segment_unreadable", _ERROR, "A segment of the writer before could not be read.", _DISK, "none"),
    event(
        "segment_of_another_format",
        _ERROR,
        "A segment is of a version that this agent does not read.",
        "Seal it with the version that wrote it.",
        "none",
    ),
    event("segment_abandoned", _WARNING, "The open segment took no more rows, and another follows it.", _DISK, "none"),
    event(
        "segment_removed", _WARNING, "The open segment was removed, and was written again where that was possible.", _OTHERS, "none"
    ),
    event(
        "segment_returned", _WARNING, "A removed segment came back and was set aside: its rows are in a later one.", _OTHERS, "none"
    ),
    event(
        "set_aside_removed",
        _WARNING,
        "Files in the folder set-aside were removed to keep its bound.",
        "Look at such files sooner.",
        "none",
    ),
    event(
        "torn_tail_cut",
        _INFO,
        "Bytes behind the last whole record were cut off, as a kill or a power failure leaves them.",
        _NOTHING,
        "one after a power failure",
    ),
    event("spool_foreign_files", _WARNING, "The spool has files that are not the writer's.", "Move them elsewhere.", "none"),
    event("leftover", _WARNING, "An empty segment could not be removed.", _DISK, "none"),
    event("sync_failed", _ERROR, "Forcing rows to the disk failed.", _DISK, "none"),
    event("quota_removed", _INFO, "Old data was removed to keep the storage quota.", _NOTHING, "regular once the quota is reached"),
    event(
        "quota_reached",
        _WARNING,
        "The storage quota is reached for the first time; from now on the oldest data is removed.",
        _ROOM,
        "one in the life of an agent",
    ),
    event(
        "quota_removed_future",
        _WARNING,
        "Data of the future was removed first: the clock was set back.",
        "Correct the clock.",
        "none",
    ),
    event(
        "kept_segment_removed",
        _ERROR,
        "Rows that a sink had not got were removed, because too many waited for it.",
        "Mend the sink, or raise its quota.",
        "none",
    ),
    event("compacted", _INFO, "The files of a finished day became one.", _NOTHING, "one for each table and day"),
    event("day_not_compacted", _WARNING, "A finished day is left as it is.", "Look at the file that the event names.", "none"),
    condition("spool", "Rows cannot be stored; their senders keep them meanwhile.", _ROOM, _ERROR),
    condition("sync", "It is not known whether the last rows are on the disk.", _DISK),
    condition("rotation", "No new segment of the spool can be opened.", _ROOM),
    condition("segment_back", "A segment that came back shows its rows twice and cannot be set aside.", _OTHERS),
    condition("sealing", "A segment cannot be made into Parquet files, and is tried again.", _ROOM),
    condition("leftovers", "Files that are not needed any more cannot be removed.", _DISK),
    condition(
        "set_aside",
        "Damaged segments lie in the folder set-aside.",
        _SET_ASIDE,
        normal="none; since a damage until a person has looked",
    ),
    condition(
        "storage_quota", "The storage quota cannot be kept.", "Raise storage.quota, or remove the files that the sentence names."
    ),
    condition("kept_segments", "Segments that are kept for sinks cannot be looked after.", _DISK),
    condition("readers", "The reader group cannot read all data.", "Correct the group or the file system that the sentence names."),
    condition("compaction", "Finished days are not compacted for now.", _DISK),
    condition(
        "compaction_damage", "A finished day has a damaged file, and is not compacted.", "Look at the file that the sentence names."
    ),
    condition("compaction_room", "There is no room to compact a day.", _ROOM),
)
