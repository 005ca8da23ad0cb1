"""Who is believed of those that say which model a unit serves."""

import pytest

from agent.model.absence import Absence
from agent.model.served_model import ServedModel
from workers.unit.model.finding import ModelFinding, ModelSource, UnitModel, decide, in_common, of_container, of_label

VLLM = ServedModel("vllm", "org/a", "/m/a", "chat")


def test_sources_are_believed_in_their_order() -> None:
    """Of all that name a model the first, in whatever order they come."""
    findings = [ModelFinding(source, ServedModel("vllm", source.value, source.value)) for source in reversed(ModelSource)]
    for source in ModelSource:
        known = decide(findings)
        assert known is not None
        assert (known.source, known.model, known.raw) == (source, source.value, source.value)
        findings.pop()
    assert decide(findings) is None


def test_what_the_believed_source_does_not_say_is_the_next_ones() -> None:
    """A label knows neither the server nor what clients ask for."""
    known = decide((ModelFinding(ModelSource.ARGUMENTS, VLLM), of_label("our/model")))
    assert known == UnitModel(ModelSource.LABEL, "vllm", "our/model", "our/model", "chat")


def test_a_source_that_names_a_model_goes_before_one_that_only_knows_the_server() -> None:
    """Ollama serves several, of which one is loaded by its child."""
    several = ModelFinding(ModelSource.ARGUMENTS, ServedModel("ollama", is_several=True))
    loaded = ModelFinding(ModelSource.DESCENDANT, ServedModel("ollama", "llama3:8b", "x"))
    assert decide((several, loaded)) == UnitModel(ModelSource.DESCENDANT, "ollama", "llama3:8b", "x")
    assert decide((several,)) == UnitModel(ModelSource.ARGUMENTS, "ollama", absent=Absence.SEVERAL)


@pytest.mark.parametrize(
    ("finding", "absent"),
    [
        (ModelFinding(ModelSource.TITLE, ServedModel("vllm")), Absence.NOT_TOLD),
        (ModelFinding(ModelSource.ARGUMENTS, ServedModel("tgi"), Absence.NO_PERMISSION), Absence.NO_PERMISSION),
        (ModelFinding(ModelSource.ARGUMENTS, None, Absence.NOT_ANSWERED), Absence.NOT_ANSWERED),
    ],
)
def test_without_a_model_there_is_a_reason(finding: ModelFinding, absent: Absence) -> None:
    """Of the first that knows the server, otherwise of the first that has one."""
    known = decide((None, finding))
    assert known is not None
    assert (known.source, known.model, known.absent) == (finding.source, None, absent)


def test_what_says_nothing_is_no_row() -> None:
    """Most units serve no model. An engine that has none loaded says nothing either."""
    assert decide(()) is None
    assert decide((None, ModelFinding(ModelSource.ENGINE_API))) is None
    assert of_label(None) is None
    assert of_label("") is None


def test_a_label_is_masked_and_read_as_other_names_are() -> None:
    """Somebody may have put an address with a password there."""
    found = of_label("https://user:secret@hub.example/org/model")
    assert found is not None
    assert found.told is not None
    assert "secret" not in repr(found)
    found = of_label("hf.co/org/model")
    assert found is not None
    assert found.told is not None
    assert (found.told.model, found.told.raw) == ("org/model", "hf.co/org/model")


def test_processes_that_agree_say_one_model() -> None:
    """Shards of one server; those that do not name it do not count."""
    nameless = ModelFinding(ModelSource.DESCENDANT, ServedModel("vllm"))
    first = ModelFinding(ModelSource.DESCENDANT, VLLM)
    assert in_common([nameless, first, first]) is first
    assert in_common([nameless]) is nameless
    assert in_common([]) is None
    refused = ModelFinding(ModelSource.ARGUMENTS, None, Absence.NO_PERMISSION)
    assert in_common([refused]) is refused


def test_processes_that_do_not_agree_say_several() -> None:
    """Of one server, or of two."""
    other = ModelFinding(ModelSource.DESCENDANT, ServedModel("vllm", "org/b", "b"))
    assert in_common([ModelFinding(ModelSource.DESCENDANT, VLLM), other]) == ModelFinding(
        ModelSource.DESCENDANT, ServedModel("vllm", is_several=True)
    )
    third = ModelFinding(ModelSource.DESCENDANT, ServedModel("tgi", "org/c", "c"))
    assert in_common([other, third]) == ModelFinding(ModelSource.DESCENDANT, ServedModel("", is_several=True))


@pytest.mark.parametrize(
    "known",
    [
        UnitModel(ModelSource.ARGUMENTS, "vllm", "org/a", "/m/a", "chat"),
        UnitModel(ModelSource.ARGUMENTS, "ollama", absent=Absence.SEVERAL),
        UnitModel(ModelSource.TITLE, "vllm", absent=Absence.NOT_TOLD),
        UnitModel(ModelSource.ARGUMENTS, absent=Absence.NO_PERMISSION),
    ],
)
def test_a_pod_knows_what_its_container_knows(known: UnitModel) -> None:
    """With the same source and reason."""
    assert decide((of_container(known),)) == known
