"""This node's live state for the hubs it reports to: built from what is stored, sent when it changes."""
