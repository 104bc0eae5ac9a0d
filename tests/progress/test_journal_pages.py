"""Check-ins and reviews are asked for when the learner's own days make them due, and never written over."""

from datetime import date

import pytest

from labhelpers import progress
from labhelpers.core import settings
from labhelpers.progress import routine

SUNDAY = date(2026, 11, 22)


@pytest.fixture
def learned(monkeypatch):
    days = set()
    monkeypatch.setattr(routine, "learning_days", lambda: days)
    return days


def names(today):
    return [page.path.name for page in routine.due(today)]


def test_nothing_is_due_without_a_learning_day(learned):
    assert names(SUNDAY) == []


def test_a_week_asks_from_its_sunday_on_and_older_ones_are_let_go(learned):
    learned |= {date(2026, 11, 3), date(2026, 11, 18)}
    assert names(date(2026, 11, 21)) == ["check_in_2026-11-02.md"]
    assert names(SUNDAY) == ["check_in_2026-11-16.md"]
    assert names(date(2026, 11, 29)) == ["check_in_2026-11-16.md"], "an idle week asks for nothing"


def test_a_month_asks_on_its_last_day(learned):
    learned.add(date(2026, 11, 18))
    assert "review_2026-11.md" not in names(date(2026, 11, 29))
    assert "review_2026-11.md" in names(date(2026, 11, 30))
    assert "review_2026-11.md" in names(date(2027, 1, 2))


def test_pages_are_made_from_the_templates_and_never_again(learned):
    learned |= {date(2026, 10, 28), date(2026, 11, 16), date(2026, 11, 18)}
    progress.record_attempt("day04/x", passed=True, feedback="")
    made = routine.make_due(SUNDAY)
    check_in, review = [path.read_text(encoding="utf-8") for path in made]
    assert "week of 2026-11-16" in check_in and "2 learning days (Monday, Wednesday)" in check_in
    assert (
        check_in.count("- [ ] Goal") == 3
        and "I learned:" in check_in
        and "Questions I take along:" in check_in
    )
    assert "Review of October 2026" in review and "Exercises passed: 1 of 1 tried" in review
    assert review.count("- [ ] Skill") == 3 and "What was hard:" in review and "$" not in check_in + review
    assert routine.waiting() == made
    made[0].write_text(check_in.replace("I learned:", "I learned: much"))
    assert routine.make_due(SUNDAY) == [] and "much" in made[0].read_text()
    assert routine.waiting() == made[1:]


def test_ticks_and_attempts_make_a_day_a_learning_day():
    assert routine.learning_days() == set()
    progress.tick("D01-T1")
    assert routine.learning_days() == {date.today()}
    assert settings.current().progress.exists()
