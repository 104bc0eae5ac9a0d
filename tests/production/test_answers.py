"""Each piece of the project: another right form is taken, an empty one is refused with words that help."""

import re
import shutil

import pytest

from labhelpers import production
from labhelpers.production import checks, scaffold

RIGHT = {
    "flat": '''
def flat(params):
    found, waiting = {}, [("", params)]
    while waiting:
        front, block = waiting.pop()
        for name, value in block.items():
            if isinstance(value, dict):
                waiting.append((f"{front}{name}.", value))
            elif isinstance(value, (list, tuple)):
                found[f"{front}{name}"] = ", ".join(str(one) for one in value)
            else:
                found[f"{front}{name}"] = "None" if value is None else value
    return found
''',
    "lineage": '''
def lineage(folder="."):
    folder = Path(folder)

    def ask(*words):
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)

    head, status = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "--", *BY_HAND)
    tags = {name: _fingerprint(folder / file) for name, file in (("dvc_lock", "dvc.lock"), ("params", "params.yaml"))}
    dirty = "none" if status.returncode else ("true" if status.stdout.strip() else "false")
    return tags | {"git_commit": "none" if head.returncode else head.stdout.strip(), "git_dirty": dirty}
''',
    "log_history": '''
def log_history(history):
    for row in history:
        for name, value in row.items():
            if name != "step" and not isinstance(value, str) and value is not None:
                mlflow.log_metric(name, float(value), step=row["step"])
''',
    "log_adapter": '''
def log_adapter(folder):
    found = 0
    for where, _, names in os.walk(folder):
        for name in names:
            found += 1
            if name.endswith((".bin", ".pt", ".pkl")):
                raise ValueError(f"{where}/{name} runs code when it is opened: use save_pretrained.")
    if not found:
        raise FileNotFoundError(f"Nothing is in {folder}: use save_pretrained.")
    mlflow.log_artifacts(str(folder), artifact_path="adapter")
''',
    "abandoned": '''
def abandoned(hours=12.0):
    drawer = mlflow.get_experiment_by_name(_experiment())
    runs = mlflow.MlflowClient().search_runs([drawer.experiment_id], "attributes.status = 'RUNNING'")
    return [run.info.run_id for run in runs if time.time() - run.info.start_time / 1000 > hours * 3600]
''',
    "finetune_model": '''
  finetune_model:
    cmd: python3 -m src.models.finetune --params params.yaml
    deps: [src/config.py, src/files.py, src/tracking.py, src/models, data/finetuning/train.jsonl, data/finetuning/validation.jsonl]
    params: [task, model.base, model.max_length, finetune]
    outs:
      - models/adapter/
      - plots/curve.csv: {cache: false}
''',
    "write": '''
def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)
''',
    "explain": '''
def explain(problem):
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{where}: an unknown key. The known ones are in src/config.py."
    if problem["type"] == "missing":
        return f"{where}: not set. Add a line for it."
    hint = " Write 2.0e-4, with a dot." if isinstance(problem["input"], str) else ""
    return f"{where}: {problem['input']!r} does not fit ({problem['msg']}).{hint}"
''',
    "clean": '''
def clean(table):
    seen, kept = set(), []
    for at, row in enumerate(table.to_dict("records")):
        if key(row) and str(row.get("label", "-")).strip() and key(row) not in seen:
            seen.add(key(row))
            kept.append(at)
    log.info("%d rows, %d kept", len(table), len(kept))
    return table.iloc[kept]
''',
    "fingerprint": '''
def fingerprint(chosen):
    made = hashlib.md5(usedforsecurity=False)
    for section in ("task", "model", "finetune"):
        made.update(repr(getattr(chosen, section)).encode())
    for part in ("train", "validation"):
        made.update(Path("data/finetuning", f"{part}.jsonl").read_bytes())
    return made.hexdigest()
''',
    "last_checkpoint": '''
def last_checkpoint(folder):
    best = None
    for place in folder.iterdir() if folder.is_dir() else []:
        state, step = place / "trainer_state.json", int(place.name.split("-")[1])
        if state.exists() and state.read_text(encoding="utf-8").strip() and (best is None or step > best[0]):
            best = step, place
    return None if best is None else str(best[1])
''',
    "measured": '''
def measured(table, resamples):
    score, base = table["score"].to_numpy(), table["baseline_score"].to_numpy()
    found = {"examples": int(len(score)), "baseline": base.mean().item()}
    for name, values in (("score", score), ("gain", score - base)):
        found[name] = values.mean().item()
        found[f"{name}_low"], found[f"{name}_high"] = interval(values, resamples)
    return found
''',
    "evaluate_model": '''
  evaluate_model:
    cmd: python -m src.evaluation.evaluate
    deps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models]
    params: [task, model, evaluate.answer_tokens, evaluate.resamples]
    metrics: [metrics.json: {cache: false}]
    outs: [report.md: {cache: false}, predictions.csv: {cache: false}]
''',
    "evidence": '''
def evidence(champion, challenger):
    if set(champion.columns) != set(challenger.columns):
        raise ValueError("They answered different items.")
    if champion.shape[0] < 2 or challenger.shape[0] < 2:
        raise ValueError("Two seeds of each, at least.")
    both = [champion[list(challenger.columns)].to_numpy(), challenger.to_numpy()]
    gains = both[1].mean(axis=0) - both[0].mean(axis=0)
    parts = [(gains.var(ddof=1) / gains.size, gains.size - 1)]
    for seeds in (one.mean(axis=1) for one in both):
        parts.append((seeds.var(ddof=1) / seeds.size, seeds.size - 1))
    mean, reach = float(gains.mean()), float(_reach(parts))
    return dict(items=gains.size, high=mean + reach, low=mean - reach, mean=mean)
''',
    "promote": '''
def promote(name, version):
    with _alone(name):
        now, client = _champion(name), mlflow.MlflowClient()
        if now is None:
            _crown(name, version, "nobody before")
            return True
        if int(now.version) == int(version):
            return False
        tags = [client.get_model_version(name, each).tags for each in (now.version, version)]
        told = evidence(*(scores(one["runs"].split(",")) for one in tags))
        text = "{mean:.2f}, {low:.2f} to {high:.2f}".format(**told)
        if told["low"] <= 0:
            client.set_model_version_tag(name, version, key="held", value=text)
            return False
        _crown(name, version, text)
        return True
''',
    "roll_back": '''
def roll_back(name):
    with _alone(name):
        told, now = list(history(name)["version"]), str(_champion(name).version)
        while told and told[-1] == now:
            told.pop()
        if not told:
            raise ValueError("Nobody before.")
        _crown(name, int(told[-1]), "rolled back")
        return int(told[-1])
''',
}  # fmt: skip
WEEK3 = [piece for piece in checks.PIECES if piece.day < "day16"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    return production.new(tmp_path_factory.mktemp("place") / "mine")


@pytest.fixture
def mine(untouched, tmp_path):
    shutil.copytree(untouched, tmp_path / "mine", ignore=shutil.ignore_patterns(".git", ".dvc"))
    return tmp_path / "mine"


def judged(folder, piece, change):
    """What is found about a piece whose stub somebody has changed; the other gaps stay as they were."""
    stub = next(
        stub
        for _, stub, _ in scaffold.gaps(scaffold.source() / piece.file)
        if re.search(rf"\b{piece.name}[(:]", stub)
    )
    path = folder / piece.file
    text = path.read_text(encoding="utf-8")
    assert text.count(stub) == 1
    path.write_text(text.replace(stub, change(stub)), encoding="utf-8")
    states = {one.piece: one for one in checks.findings(folder, piece.day)}
    found = states.pop(piece.name)
    assert {one.state for one in states.values()} <= {"open"}
    return found


@pytest.mark.parametrize("piece", WEEK3, ids=lambda piece: piece.name)
def test_a_right_answer_in_another_form_is_taken(mine, quick, piece):
    found = judged(mine, piece, lambda stub: RIGHT[piece.name].lstrip("\n"))
    assert found.state == "right", found.problem


@pytest.mark.parametrize("piece", WEEK3, ids=lambda piece: piece.name)
def test_an_empty_answer_is_refused_with_words_that_help(mine, quick, piece):
    empty = {"    ...\n": "    return None\n", "    outs: []  ": "    outs: [models]  "}
    (old, new) = next(
        pair for pair in empty.items() if pair[0] in (mine / piece.file).read_text(encoding="utf-8")
    )
    found = judged(mine, piece, lambda stub: stub.replace(old, new))
    assert found.state == "wrong"
    assert not found.problem.startswith("It stopped") or checks.NOTHING in found.problem, found.problem


def test_a_function_that_is_gone_is_missed_by_name(mine, quick):
    piece = next(piece for piece in WEEK3 if piece.name == "last_checkpoint")
    assert "last_checkpoint" in judged(mine, piece, lambda stub: "").problem
