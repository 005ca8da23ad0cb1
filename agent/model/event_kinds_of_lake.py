"""The kinds of events and conditions that the compactor of a fleet's store announces. PURE."""

from agent.model.event_kind import EventSeverity, condition, event

_INFO, _WARNING = EventSeverity.INFO, EventSeverity.WARNING
_NOTHING = "Nothing."
_SENTENCE = "Do what the sentence says."

LAKE_KINDS = (
    event("lake_compacted", _INFO, "The fleet's store has fewer and larger files.", _NOTHING, "one in each compactor.interval"),
    event(
        "lake_file_left",
        _WARNING,
        "A file in the fleet's store is not compacted and stays where it is.",
        "Look at the file that the event names; a damaged one is to be moved out of the store.",
        "none",
    ),
    condition("lake_compaction", "The fleet's store is not compacted for now.", _SENTENCE),
    condition("lake_cleaning", "What counts no more in the fleet's store is not deleted for now.", _SENTENCE),
    condition("lake_files_left", "Damaged files lie in the fleet's store.", _SENTENCE),
)
