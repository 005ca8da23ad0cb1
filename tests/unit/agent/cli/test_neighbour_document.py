"""Findings as a document that programs read."""

import json

from agent.cli.known_names import KnownNames
from agent.cli.neighbour_document import document_of
from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_name import UnitNames
from agent.cli.neighbour_ranking import findings_of
from agent.cli.neighbour_text import Looked
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour, Verdict

CULPRIT = NoisyNeighbour("u-2", "cpu_cores", 0.5, 2.0, 0.9, 1, 20, 0.8, 0.016)
GUILTY = Verdict("u-1", Symptom.CPU, 100, 120, 0.0, 0.5, (CULPRIT,))
ALONE = Verdict("u-1", Symptom.IO, 300, 310, None, 0.5, (), Innocence.TOO_LITTLE)


def test_each_victim_has_its_evidence() -> None:
    """Names beside uids, figures before and during; an unknown one is null."""
    names = UnitNames(KnownNames(pods={"u-1": "shop/web", "u-2": "batch/crunch"}))
    document = json.loads(json.dumps(document_of(Looked(0, 600, 600, 2, 2, 0), findings_of([ALONE, GUILTY]), names)))
    assert document["looked"]["until_s"] == 600
    guilty, alone = document["victims"]
    assert (guilty["name"], guilty["symptom"], guilty["no_culprit_because"]) == ("shop/web", "cpu", None)
    assert [(each["name"], each["episodes"]) for each in guilty["culprits"]] == [("batch/crunch", 1)]
    (episode,) = guilty["episodes"]
    assert (episode["since_s"], episode["until_s"], episode["culprits"][0]["began_seconds_before"]) == (100, 120, 1)
    assert (alone["no_culprit_because"], alone["episodes"][0]["before"]) == ("too_little_data", None)
