"""Words of a filter over names: all must hold, some in one field alone."""

import pytest

from agent.cli.name_filter import FilterTarget, NameFilter

WEB = FilterTarget(
    ("nginx -g daemon", "www-data", "uid-1"),
    pid="900",
    pod="shop/Web-0",
    containers=("proxy",),
    kind="pod",
    labels={"app": "web", "app.kubernetes.io/part-of": "Shop"},
)


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("", True),
        ("NGINX shop", True),
        ("900", True),
        ("90", False),
        ("proxy", True),
        ("namespace:shop", True),
        ("namespace:web", False),
        ("pod:web-0", True),
        ("pod:shop/web", True),
        ("pod:proxy", False),
        ("container:prox nginx", True),
        ("container:nginx", False),
        ("label:app=web", True),
        ("label:app=we", False),
        ("label:app", True),
        ("label:app.kubernetes.io/part-of=shop", True),
        ("label:tier", False),
        ("kind:po", True),
        ("kind:od", False),
        ("namespace:shop label:app=db", False),
        ("label: namespace:", True),
        ("image:nginx", False),
    ],
)
def test_all_words_must_hold(text: str, is_kept: bool) -> None:
    """Fields take the rest of a word, a field without a rest is still being typed, other words with a colon are words."""
    assert NameFilter(text).keeps(WEB) == is_kept


def test_what_belongs_to_no_pod_has_no_names() -> None:
    """A field leaves it out, a word does not."""
    plain = FilterTarget(("nginx",))
    kept = [NameFilter(text).keeps(plain) for text in ("nginx", "namespace:a", "pod:n", "container:n", "label:a")]
    assert kept == [True, False, False, False, False]


def test_a_filter_says_whether_it_leaves_anything_out() -> None:
    """Blank text and unfinished fields keep everything."""
    assert [bool(NameFilter(text)) for text in ("  ", "pod:", "x", "pod:x")] == [False, False, True, True]
