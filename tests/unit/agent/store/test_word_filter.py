"""A filter that lets unknown words through."""

from agent.store.record import foreign_name, table_word
from agent.store.word_filter import AllBut


def test_all_but_some_words_are_wanted() -> None:
    """Rows of other hosts have words of their own."""
    wanted = AllBut([table_word("unit")])
    assert (table_word("unit") in wanted, table_word(foreign_name("unit")) in wanted, 0 in wanted) == (False, True, True)
