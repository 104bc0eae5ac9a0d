"""What the course promises about safety: loopback and a token, weights that cannot run code, no shell, hashes."""

import ast
import doctest
import hashlib
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from labhelpers import models, training
from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.data import assets
from labhelpers.tools.authoring import guides
from labhelpers.training import runs, tracking
from tests.browser.jupyterlab import running_lab
from tests.training.test_training import tiny_model, tiny_trainer

ROOT = settings.current().root


# ---------------------------------------------------------------------------------------------- servers


def family(port):
    """The process that listens on a port, and its children."""
    import psutil

    owner = next(found.pid for found in listening(port))
    return {owner, *(child.pid for child in psutil.Process(owner).children(recursive=True))}


def listening(port=None):
    """Listening TCP sockets of this machine, on one port or all."""
    import psutil

    found = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return [each for each in found if port in (None, each.laddr.port)]


def addresses_of(port):
    """Every address on which the server of a port or one of its children listens."""
    owners = family(port)
    return {each.laddr.ip for each in listening() if each.pid in owners}


def answer(url, **headers):
    """Status of a GET or, with `data`, of a POST."""
    data = headers.pop("data", None)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


LOOPBACK = {"127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `lab start` starts it."""
    with running_lab(tmp_path_factory.mktemp("security")) as running:
        yield running


def port_of(url):
    return int(re.search(r":(\d+)", url.removeprefix("http://")).group(1))


def test_jupyterlab_and_its_kernels_listen_on_this_machine_only(lab):
    started = answer(f"{lab.base}/api/kernels", data=b"{}", Authorization=f"token {lab.token}")
    assert started == 201
    assert addresses_of(port_of(lab.base)) <= LOOPBACK


def test_jupyterlab_asks_for_its_token(lab):
    assert len(lab.token) >= 40
    for path in ("/api/contents", "/api/kernels", "/api/sessions", "/api/terminals"):
        assert answer(lab.base + path) == 403, path
        assert answer(lab.base + path, Authorization="token " + "0" * len(lab.token)) == 403, path
        assert answer(lab.base + path, Authorization=f"token {lab.token}") == 200, path
    assert answer(f"{lab.base}/api/kernels", data=b"{}") == 403, "nobody else starts a kernel"


def test_jupyterlab_refuses_a_page_that_reaches_it_under_another_name(lab):
    """DNS rebinding: a web page whose name suddenly means this machine."""
    assert answer(f"{lab.base}/api/contents", Host="evil.example", Authorization=f"token {lab.token}") == 403


@pytest.fixture(scope="module")
def mlflow_page(tmp_path_factory):
    """MLflow's page as `lab mlflow` starts it; gives the port."""
    import time

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_WORKSPACE", str(workspace))
        command = tracking.ui_command(port)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with open(workspace / "log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=workspace, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while not listening(port) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert listening(port), (workspace / "log").read_text()
    yield port
    process.terminate()
    process.wait(timeout=60)


def test_mlflow_listens_on_this_machine_only(mlflow_page):
    assert answer(f"http://127.0.0.1:{mlflow_page}/health") == 200
    assert addresses_of(mlflow_page) <= LOOPBACK


def test_mlflow_refuses_a_page_that_reaches_it_under_another_name(mlflow_page):
    url = f"http://127.0.0.1:{mlflow_page}/api/2.0/mlflow/experiments/search?max_results=1"
    assert answer(url) == 200
    assert answer(url, Host="evil.example") == 403


# ---------------------------------------------------------------------------------------------- weights


class Trap:
    """A pickle that makes a folder when it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """Path that exists only after a trap has sprung."""
    return tmp_path / "the pickle was run"


def test_the_trap_works(tmp_path, mark):
    """Otherwise the tests below would pass for nothing."""
    torch.save(Trap(mark), tmp_path / "x.bin")
    torch.load(tmp_path / "x.bin", weights_only=False)
    assert mark.exists()


def tiny_bert(folder):
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    BertModel(shape).save_pretrained(folder)
    return folder


def test_a_pickle_in_place_of_the_weights_is_refused(tmp_path, mark, monkeypatch):
    from transformers import AutoModel

    folder = tiny_bert(tmp_path / "model")
    monkeypatch.setenv("LAB_ENCODER", str(folder))
    AutoModel.from_pretrained(models.source("encoder"))
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings": Trap(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.only|safetensors|unsafe"):
        AutoModel.from_pretrained(models.source("encoder"))
    assert not mark.exists()


def test_a_pickle_beside_the_weights_is_not_looked_at(tmp_path, mark):
    from transformers import AutoModel

    folder = tiny_bert(tmp_path / "model")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        torch.save(Trap(mark), folder / name)
    AutoModel.from_pretrained(folder)
    assert not mark.exists()


def test_a_pickle_in_place_of_an_adapter_is_refused(tmp_path, mark):
    from peft import PeftModel

    model = tiny_model()
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    torch.save({"x": Trap(mark)}, tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.only|safetensors|unsafe"):
        PeftModel.from_pretrained(tiny_model(adapter=False), tmp_path / "adapter")
    assert not mark.exists()


class Stop(training.LivePlot):
    # As in test_training: a callback of the learner's own would make another run.
    __module__ = "labhelpers.test"

    def on_step_end(self, args, state, control, **_):
        if state.epoch > 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_pickle_in_a_checkpoint_is_refused_with_the_next_step(mark, name):
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny_trainer(callbacks=[Stop()]), "trapped")
    (folder,) = (settings.current().workspace / "runs").glob("trapped-*")
    checkpoint = runs.last_checkpoint(folder)
    torch.save(Trap(mark), checkpoint / name)
    with pytest.raises(LabError, match=f"(?s){checkpoint.name}.*again"):
        training.train(tiny_trainer(), "trapped")
    assert not mark.exists()
    assert not training.train(tiny_trainer(), "trapped").reused, "running the cell again trains on"
    assert not mark.exists()


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.START])
def test_a_pickle_in_place_of_a_run_is_not_opened(mark, name):
    training.train(tiny_trainer(), "swapped")
    (folder,) = (settings.current().workspace / "runs").glob("swapped-*")
    torch.save(Trap(mark), folder / name)
    training.train(tiny_trainer(), "swapped")
    assert not mark.exists()


# ---------------------------------------------------------------------------------------------- code, read as code

# Opening a file with one of these runs what the file says.
OPENERS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load", "marshal.loads",
    "pandas.read_pickle", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "runpy.run_path",
}  # fmt: skip
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
PROGRAMS = {"sh", "bash", "zsh", "dash", "cmd", "cmd.exe", "powershell", "pwsh"}
# The one module that may run a file: it draws the guides' figures from the course's own scripts.
MAY_RUN_FILES = {("labhelpers/tools/authoring/guides.py", "runpy.run_path")}


def imports(tree):
    """Local name → full name of everything a file imports, wherever it does."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.split(".")[0]] = (
                    each.name if each.asname else each.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def full_name(node, names):
    """Write `t.load` as `torch.load` after `import torch as t`; "" for what is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return "()" if isinstance(node, ast.Call) else ""


def is_constant(node, value=...):
    return isinstance(node, ast.Constant) and (value is ... or node.value is value)


def unsafe_loads(tree):
    """Calls that could run code from a file they open, as (line, what)."""
    names = imports(tree)
    found = [
        (node.lineno, full_name(node, names))
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    ]
    found = [(line, name) for line, name in found if name in OPENERS or name.endswith(".read_pickle")]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, given = full_name(node.func, names), {each.arg: each.value for each in node.keywords}
        if name == "torch.load" and not is_constant(given.get("weights_only"), True):
            found.append((node.lineno, name))
        for keyword, allowed in (
            ("weights_only", True),
            ("allow_pickle", False),
            ("trust_remote_code", False),
        ):
            if keyword in given and not is_constant(given[keyword], allowed):
                found.append((node.lineno, f"{keyword}={ast.unparse(given[keyword])}"))
        if name.endswith("joblib.Memory") and not (
            node.args and ast.unparse(node.args[0]).startswith("lab.workspace")
        ):
            found.append((node.lineno, "a joblib.Memory outside the learner's own workspace"))
    return found


def shells(tree):
    """Commands that a shell would take apart, as (line, what)."""
    names, found = imports(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and full_name(node, names) in SHELLS:
            found.append((node.lineno, full_name(node, names)))
        if isinstance(node, ast.List | ast.Tuple) and node.elts and is_constant(node.elts[0]):
            words = str(node.elts[0].value).split("/")[-1:]
            if set(words) & PROGRAMS and not all(map(is_constant, node.elts)):
                found.append((node.lineno, ast.unparse(node)))
        if isinstance(node, ast.Call):
            found += _shell_call(node)
    return found


def _shell_call(node):
    given = {each.arg: each.value for each in node.keywords}
    if "shell" in given and not is_constant(given["shell"], False):
        return [(node.lineno, "shell=" + ast.unparse(given["shell"]))]
    magic = ("system", "getoutput", "run_line_magic", "run_cell_magic")
    if isinstance(node.func, ast.Attribute) and node.func.attr in magic:
        constant = all(is_constant(each) and not re.search(r"[{$]", str(each.value)) for each in node.args)
        return [] if constant else [(node.lineno, ast.unparse(node))]
    return []


def code_of(notebook):
    """The Python of a notebook, its magics turned into calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    plain = TransformerManager().transform_cell
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join(plain("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code")


def examples_of(page):
    """The Python of a guide, without what it prints."""
    blocks = [
        block for block in guides.blocks(page.read_text(encoding="utf-8")) if block.language == "python"
    ]
    parse = doctest.DocTestParser().get_examples
    return "\n".join(example.source for block in blocks for example in parse(block.code))


@pytest.fixture(scope="module")
def trees():
    """Name → syntax tree of everything that a learner runs: package, manuscripts, notebooks, guides."""
    found = {}
    for pattern in ("labhelpers/**/*.py", "curriculum/manuscripts/**/*.py", "curriculum/guides/figures/*.py"):
        found |= {path: path.read_text(encoding="utf-8") for path in ROOT.glob(pattern)}
    found |= {path: code_of(path) for path in ROOT.glob("lessons/*/*.ipynb")}
    found |= {page: examples_of(page) for page in guides.pages()}
    return {path.relative_to(ROOT).as_posix(): ast.parse(code) for path, code in found.items()}


def test_the_sources_are_really_read(trees):
    assert "labhelpers/tools/cli.py" in trees and "lessons/week1/day04_first_finetuning.ipynb" in trees
    assert {name for name in trees if name.startswith("labhelpers/")} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "labhelpers").rglob("*.py")
    }
    assert sum(bool(tree.body) for tree in trees.values()) > 80


def test_nothing_opens_a_pickle(trees):
    found = [(name, what, line) for name, tree in trees.items() for line, what in unsafe_loads(tree)]
    found = [each for each in found if each[:2] not in MAY_RUN_FILES and not runs_our_program(*each[:2])]
    assert found == []


def runs_our_program(name, what):
    """A lesson's last section runs a program of lessons/examples, and no other file."""
    if what != "runpy.run_path" or not name.startswith(("curriculum/manuscripts/", "lessons/")):
        return False
    text = (ROOT / name).read_text(encoding="utf-8").replace('\\"', '"')
    ours = re.findall(r'program = lab\.root / "lessons" / "examples" / "\w+\.py"', text)
    runs_them = text.count('runpy.run_path(str(program), run_name="__main__")')
    return len(ours) == runs_them == text.count("runpy.run_path(")


def test_nothing_is_handed_to_a_shell(trees):
    assert [(name, found) for name, tree in trees.items() for found in shells(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=False)",
        "from torch import load\nload(path, weights_only=safe)",
        "def f():\n    import pickle\n    return pickle.load(open(path, 'rb'))",
        "from pickle import loads as read\nread(data)",
        "import pickle\nread = pickle.loads",
        "import joblib\njoblib.load(path)",
        "import pandas as pd\npd.read_pickle(path)",
        "frame_library.read_pickle(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, weights_only=False)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "from joblib import Memory\nMemory('/tmp/shared')",
        "import yaml\nyaml.load(text, yaml.Loader)",
    ],
)
def test_an_unsafe_load_would_be_noticed(code):
    assert unsafe_loads(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.system('ls ' + name)",
        "from os import system as run\nrun(name)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "import subprocess as s\ns.Popen(command, shell=maybe)",
        "get_ipython().system('pip install ' + name)",
        "get_ipython().system('pip install {name}')",
        "get_ipython().system(f'pip install {name}')",
        "get_ipython().run_cell_magic('bash', '', text)",
        "import subprocess\nsubprocess.run(['bash', '-c', f'ls {name}'])",
        "import subprocess\nsubprocess.getoutput(command)",
    ],
)
def test_a_shell_would_be_noticed(code):
    assert shells(ast.parse(code))


def test_what_is_safe_is_left_alone():
    code = "import torch, yaml, subprocess\ntorch.load(path, weights_only=True)\nyaml.safe_load(text)\n"
    code += "subprocess.run(['git', 'clone', address])\nget_ipython().system('nvidia-smi')\njson.load(file)"
    assert unsafe_loads(ast.parse(code)) == [] and shells(ast.parse(code)) == []


# ---------------------------------------------------------------------------------------------- hashes


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive in a classroom's folder, with its true hash in the catalogue."""
    folder = tmp_path / "archives"
    folder.mkdir()
    path = folder / "small-1.0.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("pkg/model/weights.bin", bytes(range(256)) * 400)
    content = path.read_bytes()
    entry = {
        "id": "small", "role": "test", "title": "A small asset", "project": "small", "version": "1.0",
        "archive": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "disk": 200_000,
        "layout": 1, "unpack": [{"from": "pkg/model/*", "to": "."}], "licence": "MIT", "citation": "nobody",
    }  # fmt: skip
    (tmp_path / "assets.yaml").write_text(yaml.safe_dump([entry]))
    monkeypatch.setattr(assets, "CATALOGUE", tmp_path / "assets.yaml")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_ARCHIVES", str(folder))
    return path


def flip(content, place):
    """Change one bit of one byte."""
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


def test_a_file_as_it_should_be_is_taken(archive):
    assert (assets.path("small") / "weights.bin").read_bytes() == bytes(range(256)) * 400


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_one_flipped_byte_is_refused(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(flip(content, int(share * (len(content) - 1))))
    with pytest.raises(LabError, match="SHA-256"):
        assets.path("small")
    assert not (settings.current().cache / "small").exists()


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_one_flipped_byte_is_refused_when_it_comes_from_the_network(archive, share, monkeypatch):
    from tests.data import index_server

    content = archive.read_bytes()
    changed = flip(content, int(share * (len(content) - 1)))
    (row,) = yaml.safe_load(assets.CATALOGUE.read_text())
    assets.CATALOGUE.write_text(yaml.safe_dump([row | {"project": "small-project"}]))
    assets._read_catalogue.cache_clear()
    monkeypatch.delenv("LAB_ARCHIVES")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with index_server.serving(index_server.Index({archive.name: changed})) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        with pytest.raises(LabError, match="SHA-256"):
            assets.path("small")
        assert index.downloads(), "it was really fetched"
    assert not (settings.current().cache / "small").exists()
    assert not [path for path in settings.current().cache.rglob("*") if path.suffix in (".whl", ".part")]


def test_every_asset_has_a_hash():
    catalogue = assets.catalogue()
    assert catalogue
    for asset in catalogue.values():
        assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256), asset.id
    assert len({asset.sha256 for asset in catalogue.values()}) == len(catalogue)


LOCKS = sorted(ROOT.glob("requirements*.lock"))


def unhashed(lock):
    """Requirements of a lock file without an exact version or without a hash."""
    entries = [line for line in re.sub(r"\\\n", " ", lock).splitlines() if line.strip() and line[0] != "#"]
    assert entries
    return [
        entry.split()[0]
        for entry in entries
        if not re.match(r"[A-Za-z0-9._-]+==\S+", entry) or not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)
    ]


def test_every_line_of_a_lock_has_a_hash():
    assert {"requirements.lock", "requirements-all.lock"} <= {path.name for path in LOCKS}
    for path in LOCKS:
        assert unhashed(path.read_text(encoding="utf-8")) == [], path.name


def test_a_line_without_a_hash_would_be_noticed():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    robbed = re.sub(r" \\\n    --hash=sha256:\w+(?= *\n)", "", text, count=3) + "evil==1.0\n"
    assert unhashed(robbed)[-1] == "evil==1.0"


def test_a_lock_is_installed_with_its_hashes_checked():
    """By the script that `make setup` runs, and by hand as the README says."""
    for name in ("labhelpers/tools/set_up.sh", "README.md"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        installs = [line for line in lines if re.search(r"-r requirements\S*\.lock", line)]
        assert installs and all("--require-hashes" in line for line in installs), name


def test_a_folder_of_our_own_is_never_world_writable(archive):
    folder: Path = assets.path("small")
    assert not folder.stat().st_mode & 0o002
