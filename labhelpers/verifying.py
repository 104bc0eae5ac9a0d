"""Runs whole lessons, holds their results against the timetable's bands, and refreshes the measured times."""

import datetime
from typing import Any

from . import authoring, doctor, running, timetable
from .settings import current, write_atomically

HEAD = "# Written by `make verify` on 2 CPU cores, solved, empty workspace. Seconds include the kernel's start.\n"


def verify(lesson_ids: list[str] | None, profile: str) -> bool:
    """Run lessons solved, in an empty workspace, and print a line for each.

    Args:
        lesson_ids: lessons to run; None for all that are ready.
        profile: "smoke", "cpu" or "gpu". Only "cpu" refreshes `curriculum/measured.yaml` and the lesson headers.

    Returns:
        True when every lesson ran to its end with every result inside its band.
    """
    import tempfile
    from pathlib import Path

    lesson_ids = lesson_ids or [day["id"] for day in timetable.lessons() if day["status"] == "ready"]
    rates, sound = doctor.rates(), True
    for lesson_id in lesson_ids:
        with tempfile.TemporaryDirectory(prefix=f"verify-{lesson_id}-") as workspace:
            result = running.run(
                lesson_id, "solved", profile, Path(workspace), current().workspace / "executed" / profile
            )
        complaints = complaints_about(result)
        print(_line(result), *complaints, sep="\n   ")
        sound = sound and not complaints
        if profile == "cpu" and not complaints:
            _remember(result, rates)
    return sound


def complaints_about(result: running.LessonRun) -> list[str]:
    """List what is wrong with a solved run.

    Args:
        result: a finished run of the variant "solved".

    Returns:
        One sentence per problem; empty when the lesson is sound.
    """
    if result.error:
        return [f"stopped at {result.error}"]
    complaints = [
        f"{event['exercise']} was {event['outcome']}: {event['feedback']}"
        for event in result.of_kind("check")
        if event["outcome"] != "right"
    ]
    for event in result.of_kind("record"):
        if event.get("low") is not None and not event["low"] <= event["value"] <= event["high"]:
            complaints.append(
                f"{event['name']} = {event['value']:.4g} is outside {event['low']} to {event['high']}"
            )
    recorded = {event["name"] for event in result.of_kind("record")}
    missing = set(timetable.lesson(result.lesson).get("bands") or {}) - recorded
    return complaints + [
        f"{name} has a band in the timetable but was not recorded" for name in sorted(missing)
    ]


def _line(result: running.LessonRun) -> str:
    memory = f"{result.peak_bytes / 2**30:.2f} GiB" if result.peak_bytes else "no memory figure"
    return f"{result.lesson}: {result.seconds:.0f} s, {memory}, outputs in {result.notebook}"


def _remember(result: running.LessonRun, rates: dict[str, float]) -> None:
    """Write one lesson's measurement and rebuild its notebook, whose header shows it."""
    import yaml

    measured: dict[str, Any] = doctor.measurements()
    measured[result.lesson] = {
        "seconds": round(result.seconds),
        "peak_gib": round(result.peak_bytes / 2**30, 2),
        "date": datetime.date.today().isoformat(),
        "matmul_gflops": rates,
    }
    write_atomically(current().root / "curriculum" / "measured.yaml", HEAD + yaml.safe_dump(measured))
    authoring.build([result.lesson])
