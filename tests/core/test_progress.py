"""Who listens hears of the work inside, and of no other."""

import pytest

from seglens.core.batches import in_batches
from seglens.core.progress import tell, watching


def test_listeners_are_told_in_order_and_only_inside():
    heard = []
    tell("before", 1, 2)
    with watching(lambda *said: heard.append(said)):
        list(in_batches(5, 2, lambda a, b: None, "masks"))
        list(in_batches(5, 2, lambda a, b: None))
    tell("after", 1, 2)
    assert heard == [("masks", 2, 5), ("masks", 4, 5), ("masks", 5, 5)]


def test_the_inner_listener_hears_and_the_outer_comes_back():
    outer, inner = [], []
    with watching(lambda *said: outer.append(said)):
        with watching(lambda *said: inner.append(said)):
            tell("a", 1, 1)
        tell("b", 1, 1)
    assert (outer, inner) == ([("b", 1, 1)], [("a", 1, 1)])


def test_a_listener_may_stop_the_work():
    def stop(what, done, total):
        if done >= 2:
            raise KeyboardInterrupt

    done = []
    parts = in_batches(9, 1, lambda a, b: done.append(a), "parts")
    with watching(stop), pytest.raises(KeyboardInterrupt):
        list(parts)
    assert done == [0, 1]
