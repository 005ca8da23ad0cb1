"""The words of a command line and the options among them."""

from agent.model.served_model_words import COMMAND_LINE_BYTES_MAX, WORDS_MAX, CommandWords, base_name, command_of, options_of


def test_the_arguments_of_a_program_are_its_words() -> None:
    """An empty argument is one; NULs at the end, which a title leaves, are none."""
    assert command_of(b"a\0\0b\0\0\0") == CommandWords([b"a", b"", b"b"])
    assert command_of(b"") == CommandWords([b""])


def test_a_shells_script_is_read_word_by_word() -> None:
    """Without quotation marks; an empty word parts two commands."""
    assert command_of(b"/bin/sh\0-c\0a 'b c' \\\n d;e && f ; g | h\0") == CommandWords(
        [b"/bin/sh", b"a", b"b", b"c", b"d;e", b"", b"f", b"", b"g", b"", b"h"], is_script=True
    )
    assert command_of(b"bash\0-l\0-exc\0a;\0") == CommandWords([b"bash", b"a", b""], is_script=True)


def test_a_shell_without_a_script_is_a_program_like_others() -> None:
    """Its file is not read."""
    assert command_of(b"bash\0/entry.sh\0") == CommandWords([b"bash", b"/entry.sh"])
    assert command_of(b"sh\0-c\0") == CommandWords([b"sh", b"-c"])
    assert command_of(b"sh\0--norc\0") == CommandWords([b"sh", b"--norc"])


def test_no_more_is_read_than_a_bound() -> None:
    """Of bytes and of words."""
    assert len(command_of(b"a\0" * (COMMAND_LINE_BYTES_MAX)).words) == WORDS_MAX
    assert len(command_of(b"sh\0-c\0" + b"a " * COMMAND_LINE_BYTES_MAX).words) == WORDS_MAX + 1


def test_the_last_part_of_a_path_is_its_base_name() -> None:
    """A name without a slash is its own."""
    assert (base_name(b"/a/b"), base_name(b"b"), base_name(b"/a/")) == (b"b", b"b", b"")


def test_an_option_has_the_word_behind_it_or_what_follows_an_equals_sign() -> None:
    """The last one counts; an option is not the value of another."""
    words = [b"--a", b"1", b"--b=2=3", b"--c", b"--a_b", b"x", b"y", b"--a", b"4", b"--d"]
    wanted = frozenset({b"--a", b"--b", b"--c", b"--a-b", b"--d"})
    assert options_of(words, wanted) == {b"--a": b"4", b"--b": b"2=3", b"--c": b"", b"--a-b": b"x", b"--d": b""}
    assert options_of(words, frozenset({b"y"})) == {}
