"""Every run of the two worked examples of the mini project, beside the word counts they had to beat."""

import matplotlib.pyplot as plt
import yaml

from labhelpers import plots
from labhelpers.tools.authoring import guides


def figure():
    recorded = yaml.safe_load((guides.folder().parent / "recorded_projects.yaml").read_text(encoding="utf-8"))
    drawn, panels = plt.subplots(1, len(recorded), figsize=(8.4, 3.2))
    for axes, (name, project) in zip(panels, recorded.items(), strict=True):
        rows = list(dict.fromkeys((run["method"], run["setting"]) for run in project["runs"]))
        for run in project["runs"]:
            axes.plot(
                100 * run["score"],
                rows.index((run["method"], run["setting"])),
                "o",
                color=plots.BLUE,
                alpha=0.75,
            )
        baseline = 100 * project["baselines"]["tf-idf"]["score"]
        axes.axvline(baseline, color=plots.INK, lw=1.2)
        axes.annotate(
            "word counts", (baseline, -0.75), (-4, 0), textcoords="offset points", ha="right", fontsize=8
        )
        axes.set_yticks(range(len(rows)), [f"{method}, {setting}" for method, setting in rows])
        axes.set_ylim(len(rows) - 0.5, -1)
        above = sum(100 * run["score"] > baseline for run in project["runs"])
        axes.set(
            title=f"{name}: {above} of {len(project['runs'])} runs above",
            xlabel=f"{project['plan']['metric']}, validation (%)",
        )
    return drawn
