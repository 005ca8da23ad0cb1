"""This node's page and its documents: made when the first one is asked for, forgotten when nobody looks any more."""
