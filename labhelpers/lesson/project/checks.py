"""What can be checked about a project without judging its idea: each check passes, or says what is wrong and what to do."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import log as project

Problem = tuple[str, str] | None  # what is wrong, what to do next
LEAST_SEEDS = 3
BASELINES = ("majority", "tf-idf")
NO_SPLITS = ("There are no splits.", "Make them and keep them: project.keep(name, data.split(dataset)).")
NO_RUNS = ("Nothing was trained.", "Run the trials of the Sunday lesson.")


@dataclass(frozen=True)
class State:
    """What a project holds: its texts, its log, and the parts of its report that nobody has written (None: no report)."""

    rows: list[dict[str, str]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    unwritten: list[str] | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The entries of a kind, oldest first; of several about the same thing, the last."""
        found = [entry for entry in self.entries if entry["kind"] == kind]
        last = {tuple(entry.get(key) for key in project.SAME[kind]): entry for entry in found}
        return list(last.values())

    def place(self, kind: str, first: bool = False) -> int | None:
        """Where in the log the last (or first) entry of a kind stands; None when there is none."""
        places = [at for at, entry in enumerate(self.entries) if entry["kind"] == kind]
        return places[0 if first else -1] if places else None


@dataclass(frozen=True)
class Finding:
    """What one check found; `problem` and `step` are empty when it passed."""

    title: str
    problem: str = ""
    step: str = ""

    @property
    def passed(self) -> bool:
        """True when there is nothing to do."""
        return not self.problem


def check(state: State) -> list[Finding]:
    """Run every check; one Finding each, in the order of the work."""
    return [Finding(title, *(examine(state) or ())) for title, examine in CHECKS.items()]


def settings_of(runs: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Group runs by method and setting, in the order they were first tried."""
    grouped = defaultdict(list)
    for run in runs:
        grouped[run["method"], run["setting"]].append(run)
    return dict(grouped)


def mean_score(runs: list[dict[str, Any]]) -> float:
    """Average the validation scores of runs."""
    return statistics.fmean(run["score"] for run in runs)


def no_leaks(state: State) -> Problem:
    """No text in two splits."""
    if not state.rows:
        return NO_SPLITS
    places = defaultdict(set)
    for row in state.rows:
        places[project.same(row["text"])].add(row["split"])
    shared = [text for text, splits in places.items() if len(splits) > 1]
    if not shared:
        return None
    return (
        f"{len(shared):,} texts sit in more than one split, for instance {shared[0][:60]!r}.",
        "Remove copies before you split: keep one text of each project.same(text), then split and keep again.",
    )


def no_disputes(state: State) -> Problem:
    """No text with two labels."""
    if not state.rows:
        return NO_SPLITS
    labels = defaultdict(set)
    for row in state.rows:
        labels[project.same(row["text"])].add(row["label"])
    disputed = [text for text, names in labels.items() if len(names) > 1]
    if not disputed:
        return None
    return (
        f"{len(disputed):,} texts occur with two labels, for instance {disputed[0][:60]!r}.",
        "Read them. Correct the label, or drop every copy; then split and keep again.",
    )


def every_class(state: State) -> Problem:
    """Each class in each split."""
    classes = {row["label"] for row in state.rows}
    if len(classes) < 2:
        return "There are not two classes.", "Keep splits of data with at least two labels."
    for split in project.SPLITS:
        missing = classes - {row["label"] for row in state.rows if row["split"] == split}
        if missing:
            return (
                f"The {split} split has no text of the class {min(missing)!r}.",
                "Split with data.split, which keeps the mix of labels, or merge rare classes.",
            )
    return None


def planned(state: State) -> Problem:
    """A plan with metric and margin, written before the first run."""
    plan, run = state.place("plan"), state.place("run", first=True)
    if plan is None:
        return "There is no plan.", 'Write it: project.note(name, "plan", question=…, metric=…, margin=…).'
    entry = state.entries[plan]
    for wanted in ("question", "metric", "margin"):
        if not entry.get(wanted):
            return f"The plan has no {wanted}.", f'Write it again: project.note(name, "plan", {wanted}=…, …).'
    if run is not None and plan > run:
        return (
            "The plan was written, or changed, after the first run.",
            "Go back to the plan you had, and call the new question a question for next time; or start with fresh splits.",
        )
    return None


def baselines(state: State) -> Problem:
    """A majority and a TF-IDF baseline."""
    known = {entry["name"] for entry in state.of("baseline")}
    missing = [name for name in BASELINES if name not in known]
    if not missing:
        return None
    return (
        f"The baseline {missing[0]!r} is not in the log.",
        f'Score it on validation, then project.note(name, "baseline", name="{missing[0]}", score=…).',
    )


def two_methods(state: State) -> Problem:
    """At least two methods."""
    methods = {run["method"] for run in state.of("run")}
    if len(methods) >= 2:
        return None
    return (
        f"{len(methods)} method{'s were' if len(methods) != 1 else ' was'} tried: {', '.join(methods) or 'none'}.",
        "Train a second one (LoRA, QLoRA, full fine-tuning) with the same budget: one of them alone beats nobody.",
    )


def equal_trials(state: State) -> Problem:
    """The same number of trials for each method."""
    trials = defaultdict(set)
    for run in state.of("run"):
        trials[run["method"]].add(run["setting"])
    tried = {method: len(settings) for method, settings in trials.items()}
    if tried and len(set(tried.values())) == 1:
        return None
    if not tried:
        return NO_RUNS
    fewest = min(tried, key=tried.__getitem__)
    return (
        f"Settings tried: {', '.join(f'{method} {count}' for method, count in tried.items())}.",
        f"Try {max(tried.values()) - tried[fewest]} more with {fewest}: whoever tries more wins more.",
    )


def enough_seeds(state: State) -> Problem:
    """Three seeds for the best setting of each method."""
    grouped = settings_of(state.of("run"))
    if not grouped:
        return NO_RUNS
    for method in dict.fromkeys(method for method, _ in grouped):
        seeds = max(len(runs) for key, runs in grouped.items() if key[0] == method)
        if seeds < LEAST_SEEDS:
            return (
                f"No setting of {method} was trained with more than {seeds} seed{'s' * (seeds > 1)}.",
                f"Train its best setting with {LEAST_SEEDS - seeds} more: one seed cannot tell luck from skill.",
            )
    return None


def chosen_on_validation(state: State) -> Problem:
    """Chosen by the mean over seeds on validation, before the test."""
    choice, opened = state.place("choice"), state.place("opened", first=True)
    if choice is None:
        return "Nothing is chosen.", 'Choose: project.note(name, "choice", method=…, setting=…).'
    if opened is not None and choice > opened:
        return (
            "The choice was made, or changed, after the test was opened.",
            "Report the model that was tested first. For a new choice you need test data that nobody has seen.",
        )
    entry = state.entries[choice]
    means = {
        key: mean_score(runs)
        for key, runs in settings_of(state.of("run")).items()
        if len(runs) >= LEAST_SEEDS
    }
    mine = (entry.get("method"), entry.get("setting"))
    if mine not in means:
        return (
            f"{mine[0]} with {mine[1]} has not three runs.",
            "Train it with three seeds, or choose another.",
        )
    if means[mine] < max(means.values()) and not entry.get("reason"):
        best = max(means, key=means.__getitem__)
        return (
            f"{best[0]} with {best[1]} has the higher mean, and no reason is given for choosing {mine[0]}.",
            'Choose it, or say why not: project.note(name, "choice", …, reason="simpler, and within one standard error").',
        )
    return None


def tested_once(state: State) -> Problem:
    """The test opened once, for the chosen model."""
    times = sum(entry["kind"] == "opened" for entry in state.entries)
    if times == 0:
        return "The test has not been opened.", "When everything is chosen: project.open_test(name), once."
    if times > 1:
        return (
            f"The test was opened {times} times.",
            "Report the first number and say so; a new attempt needs test data that nobody has seen.",
        )
    if not state.of("test"):
        return (
            "The test was opened, but its result is not in the log.",
            'Note it: project.note(name, "test", score=…, baseline=…, low=…, high=…).',
        )
    return None


def report_complete(state: State) -> Problem:
    """Every question of the report answered."""
    if state.unwritten is None:
        return "There is no report.", "Make it: project.write(name). Then answer its questions."
    if not state.unwritten:
        return None
    return (
        f"{len(state.unwritten)} parts of the report wait for you: {', '.join(state.unwritten)}.",
        "Open progress/mini_project_notes.md, replace each line in italics by your own words, save.",
    )


CHECKS: dict[str, Callable[[State], Problem]] = {
    "No text in two splits": no_leaks,
    "No text with two labels": no_disputes,
    "Each class in each split": every_class,
    "Planned before the first run": planned,
    "Both baselines": baselines,
    "Two methods": two_methods,
    "Equal trials": equal_trials,
    "Three seeds": enough_seeds,
    "Chosen on validation": chosen_on_validation,
    "Tested once": tested_once,
    "Report complete": report_complete,
}
