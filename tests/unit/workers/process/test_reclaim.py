"""Whether the kernel takes memory from processes that sleep."""

from fakes.kernel_tree import MemoryTree

from workers.process.reclaim import ReclaimWatch, reclaimed_pages

VMSTAT = b"nr_free_pages 5\npgsteal_kswapd 9\npgsteal_anon %d\npgsteal_file 12\npswpin 3\npswpout %d\nnonsense\n"


def test_pages_of_processes_count_and_those_of_files_do_not() -> None:
    """A host that reads much reclaims cached pages all the time."""
    assert reclaimed_pages(VMSTAT % (40, 2)) == 42
    assert reclaimed_pages(b"") == reclaimed_pages(b"pswpout x\npgsteal_anon\n") == 0


def test_it_has_moved_where_a_counter_did() -> None:
    """Not at the first reading, and not while it stands still."""
    tree = MemoryTree({"vmstat": VMSTAT % (1, 1)})
    watch = ReclaimWatch(tree)
    assert [watch.has_moved(), watch.has_moved()] == [False, False]
    tree.put("vmstat", VMSTAT % (2, 1))
    assert [watch.has_moved(), watch.has_moved()] == [True, False]


def test_without_the_file_nothing_is_known_to_move() -> None:
    """As on a mount with `subset=pid`."""
    assert ReclaimWatch(MemoryTree()).has_moved() is False
