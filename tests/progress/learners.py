"""A class that never was: summaries as `lab progress export` writes them, for the tests and the benchmark."""

import random
from datetime import date, timedelta

from labhelpers.core import answers, timetable
from labhelpers.progress import summary

FIRST = "Ada Björn Chloé Dmitri Esra Fátima Grace Haruki Irene Jamal Katarzyna Liam Mei Nikhil Óscar Priya Quentin Rosa"
LAST = "Abe Brandt Çelik Dubois Eze Fischer García Hussain Ito Jansen Kowalska Li Müller Nguyen O’Connor Park"
TODAY = date(2026, 11, 20)


def document(learner="0123456789ab", name="Ada", **changes):
    """One summary of somebody who has done Day 1 and stumbles on Day 4."""
    return {
        "format": summary.FORMAT,
        "version": summary.VERSION,
        "course": {"version": "0.1.0", "commit": "9bc253c3b667"},
        "learner": {"id": learner, "name": name},
        "exported": TODAY.isoformat(),
        "serial": 1,
        "days": ["2026-11-16", "2026-11-19"],
        "ticked": {"day01": ids("day01"), "day04": ids("day04")[:5]},
        "exercises": {
            "day01/scale": {"attempts": 1, "passed_at": 1, "first_failure": None, "last": "2026-11-16"},
            "day04/flips": {
                "attempts": 3,
                "passed_at": None,
                "first_failure": "swapped",
                "last": "2026-11-19",
            },
        },
        "quiz": {"day01/q1": {"answers": 2, "right_at": 2}},
        **changes,
    }


def ids(lesson):
    return [item["id"] for item in timetable.items(timetable.lesson(lesson))]


def write(folder, file, content):
    """Write a summary with the checksum it ought to have."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(summary.text_of(content), encoding="utf-8")
    return path


def write_class(folder, count, seed=0):
    """Write the summaries of a class; some are ahead, some have gone quiet, some exercises are hard."""
    draw = random.Random(seed)
    names = [f"{first} {last}" for first in FIRST.split() for last in LAST.split()]
    for number, name in enumerate(draw.sample(names, count)):
        learner = f"{draw.getrandbits(48):012x}"
        write(
            folder,
            f"summary-{number:03d}.json",
            _somebody(draw, learner, name if draw.random() < 0.95 else None),
        )


def _somebody(draw, learner, name):
    """Somebody who came as far as chance had it, and left a few boxes open on the way."""
    built = [day["id"] for day in timetable.lessons() if day["id"] in answers.built()]
    reached = min(len(built), max(1, round(draw.gauss(4.5, 1.6))))
    lessons, skill = built[:reached], draw.gauss(0, 0.15)
    ended = TODAY - timedelta(days=draw.choice((0, 0, 0, 1, 1, 2, 3, 9, 16)))
    ticked = {lesson: [id for id in ids(lesson) if draw.random() < 0.97] for lesson in lessons[:-1]}
    ticked[lessons[-1]] = ids(lessons[-1])[: draw.randrange(len(ids(lessons[-1])) + 1)]
    tried = [record for lesson in lessons for record in answers.exercises(lesson)]
    questions = [question["id"] for lesson in lessons[:-1] for question in answers.questions(lesson)]
    return document(
        learner,
        name,
        exported=min(TODAY, ended + timedelta(days=draw.choice((0, 0, 0, 1, 8)))).isoformat(),
        days=[(ended - timedelta(days=back)).isoformat() for back in range(0, 2 * reached, 2)],
        ticked={lesson: done for lesson, done in ticked.items() if done},
        exercises={record["id"]: _tries(draw, record, skill, ended) for record in tried},
        quiz={id: {"answers": (at := 1 + (draw.random() < 0.4)), "right_at": at} for id in questions},
    )


def _tries(draw, record, skill, ended):
    """Attempts until the exercise passes, or until patience ends; the harder ones are those with a long id."""
    chance = max(0.1, min(0.95, 0.85 + skill - 0.025 * len(record["id"])))
    patience = draw.randrange(2, 7)
    needed = next((attempt for attempt in range(1, patience + 1) if draw.random() < chance), None)
    fragment = draw.choice(record["misconceptions"])[1] if draw.random() < 0.7 else summary.OTHER
    return {
        "attempts": needed or patience,
        "passed_at": needed,
        "first_failure": None if needed == 1 else fragment,
        "last": ended.isoformat(),
    }
