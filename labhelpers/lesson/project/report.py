"""The report of the mini project: numbers from its log, results of its checks, and questions only the learner can answer."""

from pathlib import Path
from typing import Any

from ...core import settings
from ...progress import report
from ...progress.report import Part
from . import checks as project_checks
from . import log as project
from .checks import Finding, State

PARTS = [
    Part("The question", "*Write here: what you wanted to know, for whom, and what they will do with the answer.*"),
    Part("The data", "*Write here: what was wrong with the raw texts, what you did about it, and what you left as it was.*"),
    Part("The verdict", "*Write here: which method you would use tomorrow, and whether it kept the promise of your plan.*"),
    Part("What it gets wrong", "*Write here: ten mistakes you read, in two or three groups, and what would help.*"),
    Part("What these numbers do not say", "*Write here: on which texts you would not trust it, and what you did not try.*"),
    Part("What I would do with one more day", "*Write here: one thing, and the number that would tell whether it worked.*"),
    Part("Your notes"),
]  # fmt: skip


def path() -> Path:
    """Tell where the report is: progress/mini_project.md."""
    return settings.current().progress / "mini_project.md"


def state(name: str) -> State:
    """Read all that the checks look at."""
    unwritten = report.waiting(path(), PARTS) if path().exists() else None
    return State(project.rows(name), project.entries(name), unwritten)


def check(name: str) -> list[Finding]:
    """Run the automatic checks on a project and print what they found.

    Args:
        name: of the project.

    Returns:
        One Finding per check.
    """
    findings = project_checks.check(state(name))
    for finding in findings:
        print(f"{'pass' if finding.passed else 'open'}  {finding.title}")
        if not finding.passed:
            print(f"      {finding.problem}\n      Next: {finding.step}")
    print(f"\n{sum(finding.passed for finding in findings)} of {len(findings)} checks pass.")
    return findings


def write(name: str) -> Path:
    """Make progress/mini_project.md anew; what the learner wrote into mini_project_notes.md stands at its end.

    Args:
        name: of the project.

    Returns:
        The report.

    Raises:
        LabError: when the file cannot be read or written.
    """
    # Twice where there was no report: the first one's checks cannot know of it yet.
    for _ in range(1 if path().exists() else 2):
        report.renew(path(), "Mini project", body(name), PARTS)
    return path()


def show(name: str) -> None:
    """Make the report anew and display it as Markdown; print it outside a notebook."""
    report.present(write(name))


def body(name: str) -> str:
    """Write the generated part from the project's splits and log."""
    found = state(name)
    sections = [_plan(found), _data(name), _baselines(found), _runs(found), _test(found), _checks(found)]
    heading = f"*Project “{name}”, profile {settings.current().profile}.*"
    return "\n\n".join([heading, *("\n".join(part) for part in sections)])


def _plan(found: State) -> list[str]:
    plan = (found.of("plan") or [{}])[-1]
    if not plan:
        return ["## The plan", "", "Not written yet."]
    return [
        "## The plan", "", f"Question: {plan.get('question')}", "", f"Metric: {plan.get('metric')}. A method is worth its trouble "
        f"if it beats the word counts by more than {100 * plan.get('margin', 0):.1f} points. (Written {plan['time'][:10]}.)",
    ]  # fmt: skip


def _data(name: str) -> list[str]:
    counts = project.counts(name)
    labels = sorted({label for counter in counts.values() for label in counter})
    if not labels:
        return ["## The data in numbers", "", "No splits yet."]
    lines = [f"| split | texts | {' | '.join(labels)} |", "|---|" + "---:|" * (1 + len(labels))]
    for split, counter in counts.items():
        lines.append(
            f"| {split} | {counter.total():,} | {' | '.join(f'{counter[label]:,}' for label in labels)} |"
        )
    return ["## The data in numbers", "", *lines]


def _baselines(found: State) -> list[str]:
    rows = [
        f"| {entry['name']} | {_points(entry.get('score'))} | {_points(entry.get('accuracy'))} |"
        for entry in found.of("baseline")
    ]
    if not rows:
        return ["## Baselines", "", "None yet."]
    return ["## Baselines on validation", "", "| baseline | score | accuracy |", "|---|---:|---:|", *rows]


def _runs(found: State) -> list[str]:
    grouped = project_checks.settings_of(found.of("run"))
    if not grouped:
        return ["## Trials", "", "None yet."]
    lines = [
        "| method | setting | seeds | mean on validation | from | to | seconds per run |",
        "|---|---|" + "---:|" * 5,
    ]
    for (method, setting), runs in grouped.items():
        scores = [run["score"] for run in runs]
        cells = [str(len(runs)), *map(_points, (project_checks.mean_score(runs), min(scores), max(scores)))]
        seconds = sum(run.get("seconds", 0) for run in runs) / len(runs)
        lines.append(f"| {method} | {setting} | {' | '.join(cells)} | {seconds:.0f} |")
    return ["## Trials on validation", "", *lines, "", _choice(found)]


def _choice(found: State) -> str:
    if not found.of("choice"):
        return "Nothing is chosen yet."
    choice = found.of("choice")[-1]
    reason = f" Reason: {choice['reason']}." if choice.get("reason") else ""
    return f"Chosen on validation: {choice['method']} with {choice['setting']}.{reason}"


def _test(found: State) -> list[str]:
    """Say in words what the test said, beside what the plan had asked for."""
    results = found.of("test")
    if not results:
        return ["## The test", "", "Not opened yet."]
    result, margin = results[-1], (found.of("plan") or [{}])[-1].get("margin", 0)
    return [
        "## The test", "", f"Chosen model {_points(result.get('score'))}, word counts {_points(result.get('baseline'))}: a difference "
        f"of {100 * result['difference']:+.1f} points, 95 % interval {100 * result['low']:+.1f} to {100 * result['high']:+.1f}. "
        f"{words(result['low'], result['high'], margin)}",
    ]  # fmt: skip


def words(low: float, high: float, margin: float) -> str:
    """Hold an interval of a difference against the margin of the plan.

    Args:
        low, high: ends of the interval, as fractions.
        margin: what the plan asked for, as a fraction.

    Returns:
        One sentence.
    """
    asked = f"The plan asked for {100 * margin:.1f} points"
    if low > margin:
        return f"{asked}: kept."
    if high < margin:
        return f"{asked}: not reached."
    return f"{asked}: these data cannot tell, the interval holds both sides."


def _checks(found: State) -> list[str]:
    lines = [
        f"- pass: {one.title}" if one.passed else f"- open: {one.title}. {one.problem}"
        for one in project_checks.check(found)
    ]
    return ["## Automatic checks", "", *lines]


def _points(value: Any) -> str:
    return "" if value is None else f"{100 * value:.1f}"
