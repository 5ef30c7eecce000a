"""Promises of feedback: the latest word of each person counts, and none is hidden."""

from datetime import UTC, datetime, timedelta

from skin_platform.core.opinions import opinions
from skin_platform.printing import printer
from skin_platform.telling import show_chain

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def said(number, label, person, minute):
    return {"feedback_id": f"id-{number}", "prediction_id": "p", "correct_label": label, "given_by": person, "note": None,
            "given_at": NOON + timedelta(minutes=minute), "key_name": "clinic"}


def test_the_latest_of_each_person_counts_in_whatever_order_they_come():
    told = opinions([said(1, "rot", "A", 9), said(2, "zart", "A", 3), said(3, "zart", "B", 5)])
    assert [(row["correct_label"], row["given_by"], row["counts"]) for row in told] == [
        ("zart", "A", False), ("zart", "B", True), ("rot", "A", True)]
    assert told[0]["given_at"] == "2026-05-01T12:03:00+00:00"
    assert opinions([]) == []


def test_two_at_the_same_moment_are_told_apart_the_same_way_always():
    two = [said(1, "rot", "A", 1), said(2, "zart", "A", 1)]
    assert opinions(two) == opinions(two[::-1])
    assert sum(row["counts"] for row in opinions(two)) == 1


def test_a_trace_shows_each_and_which_does_not_count(capsys):
    show_chain(printer(), {"prediction_id": "p", "links": (), "feedback": opinions(
        [said(1, "rot", "A", 1), said(2, "zart", "A", 2) | {"note": "histology [1]"}])})
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "feedback" in line]
    assert lines == ["feedback: rot, by A at 2026-05-01T12:01:00+00:00 (does not count: a later word of the same person does)",
                     "feedback: zart, by A at 2026-05-01T12:02:00+00:00: histology [1]"]
