"""A key asks as often as its rate allows within any 60 s, and is told when to come back."""

import math
import threading

import pytest

from skin_platform.serving.rates import Rates


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 600.0  # at the beginning of a minute

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_a_rate_allows_passes_and_the_next_does_not(clock):
    rates = Rates(clock)
    assert [rates.take("a", 3) for _ in range(3)] == [0, 0, 0]
    assert rates.take("a", 3) > 0
    assert rates.take("b", 3) == 0  # another key's window is its own


@pytest.mark.parametrize(("first", "pause", "cost"), [(10, 0.0, 1), (10, 59.0, 4), (7, 30.0, 9), (10, 70.0, 6), (4, 20.0, 10)])
def test_who_waits_as_long_as_told_passes_then_and_not_before(clock, first, pause, cost):
    rates = Rates(clock)
    assert rates.take("a", 10, first) == 0
    clock.now += pause
    seconds = rates.take("a", 10, cost)
    assert 0 < seconds <= 120
    clock.now += seconds - 0.01
    assert rates.take("a", 10, cost) > 0
    clock.now += 0.02
    assert rates.take("a", 10, cost) == 0


def test_no_60_seconds_hold_much_more_than_the_rate(clock):
    rates, passed = Rates(clock), []
    for _ in range(1200):  # a request each 0.3 s
        if rates.take("a", 60) == 0:
            passed.append(clock.now)
        clock.now += 0.3
    most = max(sum(start <= at < start + 60 for at in passed) for start in passed)
    assert 60 <= most <= 66  # the weight takes requests for evenly spread within a minute
    assert 55 * 6 <= len(passed) <= 66 * 6


def test_after_two_quiet_minutes_nothing_is_remembered(clock):
    rates = Rates(clock)
    rates.take("a", 5, 5)
    clock.now += 121
    assert rates.take("a", 5, 5) == 0


def test_more_than_the_whole_rate_never_passes_and_is_not_noted(clock):
    rates = Rates(clock)
    assert rates.take("a", 5, 6) == math.inf
    assert rates.take("a", 5, 5) == 0


def test_what_is_taken_back_may_be_asked_for_again(clock):
    rates = Rates(clock)
    rates.take("a", 1)
    rates.take("a", 1, -1)
    assert rates.take("a", 1) == 0
    rates.take("a", 1, -9)
    assert rates.take("a", 1, 1) == 0  # never below nothing
    assert rates.take("a", 1, 1) > 0


def test_no_thread_is_started(clock):
    before = threading.active_count()
    rates = Rates(clock)
    for _ in range(100):
        rates.take("a", 1000)
        assert threading.active_count() == before
