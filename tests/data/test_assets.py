"""Fetching models and data: whatever goes wrong, the cache is whole and the message says the next step."""

import errno
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import yaml

from labhelpers import data
from labhelpers.core.settings import LabError
from labhelpers.data import assets, fetching
from tests.data import index_server

ARCHIVE = "small_project-1.0-py3-none-any.whl"
ROOT = Path(__file__).parents[2]
FETCH = """
import os, signal, sys
from pathlib import Path
from labhelpers.data import assets, fetching
assets.CATALOGUE = Path(sys.argv[1])
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
step = sys.argv[2] if len(sys.argv) > 2 else ""
if step == "after download":
    fetching.unpack = die
elif step == "while unpacking":
    copy, count = fetching._copy, iter(range(99))
    fetching._copy = lambda member, file: die() if next(count) == 1 else copy(member, file)
elif step == "before the manifest":
    assets._write_manifest = die
elif step == "before the swap":
    os.replace = (lambda old: lambda a, b: die() if str(b).endswith("small") else old(a, b))(os.replace)
elif step == "before deleting the archive":
    Path.unlink = (lambda old: lambda self, *a, **k: die() if self.suffix == ".whl" else old(self, *a, **k))(Path.unlink)
print(assets.path("small"))
"""


def wheel(members):
    """Build a wheel in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


MEMBERS = {
    "pkg/model/config.json": b"{}",
    "pkg/model/sub/weights.bin": random.Random(0).randbytes(120_000),
    "pkg/code.py": b"raise SystemExit('an archive is never executed')",
}
WHEEL = wheel(MEMBERS)


@pytest.fixture
def write_catalogue(tmp_path, monkeypatch):
    """Make assets.yaml hold one small asset; fields can be replaced."""

    def write(**changes):
        entry = {
            "id": "small", "role": "test", "title": "A small asset", "project": "small-project", "version": "1.0",
            "archive": ARCHIVE, "bytes": len(WHEEL), "sha256": hashlib.sha256(WHEEL).hexdigest(), "disk": 200_000,
            "layout": 1, "unpack": [{"from": "pkg/model/*", "to": "."}], "licence": "MIT", "citation": "nobody",
        }  # fmt: skip
        file = tmp_path / f"assets{len(list(tmp_path.glob('*.yaml')))}.yaml"
        file.write_text(yaml.safe_dump([entry | changes]))
        monkeypatch.setattr(assets, "CATALOGUE", file)
        return file

    return write


@pytest.fixture
def catalogue(write_catalogue):
    """One small asset."""
    return write_catalogue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of our own."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAB_ARCHIVES", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def index(monkeypatch):
    """A running package index that offers the small wheel."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with index_server.serving(index_server.Index({ARCHIVE: WHEEL})) as running:
        monkeypatch.setenv("PIP_INDEX_URL", running.url)
        yield running


@pytest.fixture
def no_sockets(monkeypatch):
    """Any use of the network fails the test; returns a function that starts the ban."""

    def forbidden(*_args, **_kwargs):
        raise AssertionError("the network was used")

    return lambda: monkeypatch.setattr("socket.socket.connect", forbidden)


def fetch(catalogue, step="", **popen):
    """Run assets.path("small") in a process of its own."""
    command = [sys.executable, "-c", FETCH, str(catalogue), *([step] if step else [])]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def assert_whole(folder):
    """The asset is complete, byte for byte, and nothing else is left in the cache."""
    assert (folder / "config.json").read_bytes() == b"{}"
    assert (folder / "sub/weights.bin").read_bytes() == MEMBERS["pkg/model/sub/weights.bin"]
    assert not (folder / "code.py").exists()
    assert [status.state for status in assets.status()] == ["ready"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [".small.lock", "downloads", "small"]
    assert list((folder.parent / "downloads").iterdir()) == []


def test_fetches_unpacks_and_then_needs_no_network(catalogue, cache, index, no_sockets, capsys):
    folder = assets.path("small")
    assert_whole(folder)
    assert folder == cache / "small"
    assert "A small asset: ready" in capsys.readouterr().out
    no_sockets()
    shutil.rmtree(cache / "downloads")
    assert assets.path("small") == folder
    assert not (cache / "downloads").exists(), "a ready asset is only looked at, never locked or written"


def test_unknown_id_lists_the_known_ones(catalogue, cache):
    with pytest.raises(LabError, match=r"no asset 'smal'.*small"):
        assets.path("smal")


def test_broken_connection_is_continued_where_it_stopped(catalogue, cache, index):
    index.stop_after = 50_000
    assert_whole(assets.path("small"))
    assert index.downloads()[0] is None
    assert all(span.startswith("bytes=") for span in index.downloads()[1:])
    assert index.sent == len(WHEEL), "no byte was sent twice"


def test_server_without_ranges_starts_again(catalogue, cache, index):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / f"{ARCHIVE}.part").write_bytes(WHEEL[:30_000])
    index.ranges = False
    assert_whole(assets.path("small"))
    assert index.downloads() == ["bytes=30000-"]


@pytest.mark.parametrize("rubbish", [b"x" * 30_000, b"x" * len(WHEEL), b"x" * (len(WHEEL) + 5)])
def test_bad_partial_download_is_replaced(catalogue, cache, index, rubbish):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / f"{ARCHIVE}.part").write_bytes(rubbish)
    assert_whole(assets.path("small"))


def test_wrong_hash_names_both_and_deletes_the_download(write_catalogue, cache, index):
    write_catalogue(sha256="0" * 64)
    with pytest.raises(LabError, match="report") as caught:
        assets.path("small")
    assert "0" * 64 in str(caught.value)
    assert hashlib.sha256(WHEEL).hexdigest() in str(caught.value)
    assert list((cache / "downloads").glob("*.whl*")) == []
    assert not (cache / "small").exists()


@pytest.mark.parametrize("served", [WHEEL[:-9], WHEEL + b"more"])
def test_wrong_size_is_reported(catalogue, cache, index, served):
    index.files[ARCHIVE] = served
    with pytest.raises(LabError, match=rf"instead of {len(WHEEL):,}"):
        assets.path("small")


def test_no_network_says_what_works_without(catalogue, cache, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple/")
    with pytest.raises(LabError, match=r"no answer from 127\.0\.0\.1") as caught:
        assets.path("small")
    assert "LAB_ARCHIVES" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_part_already_fetched_is_kept_when_the_network_fails(catalogue, cache, index):
    index.stop_after = 4096
    with pytest.raises(LabError, match="kept and continued"):
        assets.path("small")
    index.stop_after = None
    assert_whole(assets.path("small"))
    assert index.sent == len(WHEEL)


def test_index_without_the_file_is_named(write_catalogue, cache, index):
    write_catalogue(archive="other-1.0-py3-none-any.whl")
    with pytest.raises(LabError, match=r"127.0.0.1 does not offer other-1.0.*PIP_INDEX_URL"):
        assets.path("small")


def test_index_that_is_no_web_address(catalogue, cache, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "file:///srv/packages")
    with pytest.raises(LabError, match="LAB_ARCHIVES"):
        assets.path("small")


def test_index_comes_from_pips_configuration(tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/mirror/\n")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert fetching.index_url() == "http://127.0.0.1:9/mirror/"


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A certificate for 127.0.0.1 that a company signed itself: (with its key, alone)."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=Company")
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - day).not_valid_after(now + day).add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    alone = tmp_path_factory.mktemp("company") / "root.pem"
    alone.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = alone.with_name("both.pem")
    both.write_bytes(secret + alone.read_bytes())
    return both, alone


@pytest.fixture
def bare(monkeypatch):
    """No proxy and no certificate from this machine's own environment."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "PIP_PROXY",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.parametrize("how", ["PIP_CERT", "pip.conf", "SSL_CERT_FILE"])
def test_a_companys_certificate_that_pip_knows_is_trusted(
    catalogue, cache, company, bare, monkeypatch, tmp_path, how
):
    both, alone = company
    with index_server.serving(index_server.Index({ARCHIVE: WHEEL}), both) as running:
        monkeypatch.setenv("PIP_INDEX_URL", running.url)
        with pytest.raises(LabError, match=r"certificate of 127\.0\.0\.1.*global\.cert.*PIP_CERT") as caught:
            assets.path("small")
        assert "\n" not in str(caught.value)
        if how == "pip.conf":
            (tmp_path / "pip.conf").write_text(f"[global]\ncert = {alone}\n")
            monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        else:
            monkeypatch.setenv(how, str(alone))  # the last one: where OpenSSL keeps the system's store
        assert_whole(assets.path("small"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_pip_knows_is_used_and_named_when_it_wants_a_password(
    catalogue, cache, bare, monkeypatch, scheme
):
    with index_server.serving(index_server.Index({}, answer=407)) as proxy:
        address = proxy.url.removesuffix("/simple/").replace("//", "//me:secret@")
        monkeypatch.setenv("PIP_PROXY", address)
        monkeypatch.setenv("PIP_INDEX_URL", f"{scheme}://packages.invalid/simple/")
        with pytest.raises(
            LabError, match=r"proxy .* wants a name and a password \(407\).*global\.proxy"
        ) as caught:
            assets.path("small")
        assert proxy.requests and "secret" not in str(caught.value)


def test_a_proxy_that_does_not_answer_is_named(catalogue, cache, bare, monkeypatch):
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/simple/")
    with pytest.raises(LabError, match=r"proxy .* does not answer.*HTTPS_PROXY"):
        assets.path("small")


def test_ready_archive_is_used_and_left_alone(catalogue, cache, tmp_path, monkeypatch, no_sockets):
    no_sockets()
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / ARCHIVE).write_bytes(WHEEL)
    monkeypatch.setenv("LAB_ARCHIVES", str(tmp_path / "stick"))
    assert_whole(assets.path("small"))
    assert (tmp_path / "stick" / ARCHIVE).exists()


def test_ready_archive_with_the_wrong_hash_is_refused(catalogue, cache, tmp_path, monkeypatch):
    (tmp_path / ARCHIVE).write_bytes(WHEEL[:-1])
    monkeypatch.setenv("LAB_ARCHIVES", str(tmp_path))
    with pytest.raises(LabError, match="Copy it there again"):
        assets.path("small")
    assert (tmp_path / ARCHIVE).exists()


def test_archives_folder_that_does_not_exist(catalogue, cache, monkeypatch):
    monkeypatch.setenv("LAB_ARCHIVES", "/nowhere")
    with pytest.raises(LabError, match="'/nowhere', which is not a folder"):
        assets.path("small")


def test_full_disk_is_seen_before_the_download(catalogue, cache, index, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1_000))
    with pytest.raises(LabError, match=r"0 MB free.*LAB_CACHE"):
        assets.path("small")
    assert index.downloads() == []


def test_disk_that_fills_up_keeps_the_part(catalogue, cache, index, monkeypatch):
    class Full(io.FileIO):
        def write(self, block):
            if self.tell() > 20_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block[:9000])

    monkeypatch.setattr(fetching, "open", Full, raising=False)
    monkeypatch.setattr(fetching, "CHUNK", 9000)
    with pytest.raises(
        LabError, match=r"No space left.*downloaded so far is kept\. Free some space.*LAB_CACHE"
    ):
        assets.path("small")
    monkeypatch.undo()
    assert (cache / "downloads" / f"{ARCHIVE}.part").stat().st_size > 20_000


def test_cache_that_cannot_be_written(catalogue, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError, match=r"Could not \w+ .*file/cache/small.*export LAB_CACHE"):
        assets.path("small")


def damage_manifest(folder):
    """Leave the folder without its list of members."""
    (folder / assets.MANIFEST).write_text("{")


def damage_member(folder):
    """Cut a member short."""
    os.truncate(folder / "sub/weights.bin", 10)


def remove_member(folder):
    """Lose a member."""
    (folder / "config.json").unlink()


@pytest.mark.parametrize("damage", [damage_manifest, damage_member, remove_member])
def test_damaged_cache_is_rebuilt_and_stays_until_it_is(catalogue, cache, index, damage, capsys):
    folder = assets.path("small")
    damage(folder)
    assert [status.state for status in assets.status()] == ["damaged"]
    files, index.files = index.files, {}
    with pytest.raises(LabError, match="does not offer"):
        assets.path("small")
    assert folder.exists(), "the old folder goes only when the new one is whole"
    index.files = files
    assert_whole(assets.path("small"))
    assert "cannot be used" in capsys.readouterr().out


def test_new_version_replaces_the_old_one(write_catalogue, cache, index):
    write_catalogue()
    assets.path("small")
    write_catalogue(layout=2, unpack=[{"from": "pkg/model/*.json", "to": "config"}])
    assert (assets.path("small") / "config" / "config.json").exists()
    assert not (cache / "small" / "sub").exists()


@pytest.mark.parametrize("seed", range(4))
def test_kill_while_downloading_leaves_a_cache_that_works(catalogue, cache, index, seed):
    index.pause = 0.01
    enough = random.Random(seed).randrange(len(WHEEL))
    process = fetch(catalogue)
    deadline = time.monotonic() + 60
    while index.sent < enough and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert index.sent >= enough
    index.pause = 0
    assert_whole(assets.path("small"))


@pytest.mark.parametrize(
    "step",
    [
        "after download",
        "while unpacking",
        "before the manifest",
        "before the swap",
        "before deleting the archive",
    ],
)
@pytest.mark.parametrize("damaged", [False, True])
def test_kill_at_any_later_step_leaves_a_cache_that_works(catalogue, cache, index, step, damaged):
    if damaged:
        damage_member(assets.path("small"))
    process = fetch(catalogue, step)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert assets.status()[0].ready == (step == "before deleting the archive"), (
        "half-written is never called ready"
    )
    folder = assets.path("small")
    assert assets.status()[0].ready
    assert (folder / "sub/weights.bin").read_bytes() == MEMBERS["pkg/model/sub/weights.bin"]


def test_two_processes_fetch_once(catalogue, cache, index):
    index.pause = 0.005
    processes = [fetch(catalogue) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(str(cache / "small") in output for output in outputs)
    assert len(index.downloads()) == 1
    assert_whole(assets.path("small"))


def tar_gz(members):
    """Build a .tar.gz in memory; a value that is a string becomes a link to that path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpack(tmp_path, name, content, rule, limit=10_000):
    """Unpack bytes by one rule; returns the target folder."""
    (tmp_path / name).write_bytes(content)
    target = tmp_path / "target"
    target.mkdir()
    fetching.unpack(tmp_path / name, [rule], target, limit)
    return target


def test_archive_within_an_archive(tmp_path):
    inner = tar_gz({"data/a.txt": b"text", "data/b.py": b"code"})
    outer = tar_gz({"project-1/more/inner.tar.gz": inner})
    target = unpack(tmp_path, "x.tar.gz", outer, {"from": "*.txt", "to": ".", "inside": "*/inner.tar.gz"})
    assert [path.name for path in target.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["pkg/../../evil.txt", "pkg/..\\..\\evil.txt"])
def test_name_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(LabError, match="leads out of its folder"):
        unpack(tmp_path, "x.whl", wheel({name: b"evil"}), {"from": "pkg/*", "to": "."})
    assert not (tmp_path / "evil.txt").exists()


def test_links_in_an_archive_are_ignored(tmp_path):
    with pytest.raises(LabError, match="holds no file"):
        unpack(tmp_path, "x.tar.gz", tar_gz({"pkg/link": "/etc/passwd"}), {"from": "pkg/*", "to": "."})


def test_archive_that_would_fill_the_disk_is_refused(tmp_path):
    with pytest.raises(LabError, match="at most 10,000"):
        unpack(tmp_path, "x.whl", wheel({"pkg/zeros": bytes(10_001)}), {"from": "pkg/*", "to": "."})


def test_damaged_archive_is_explained(tmp_path):
    with pytest.raises(LabError, match="is damaged"):
        unpack(tmp_path, "x.whl", b"not a zip", {"from": "*", "to": "."})


def test_course_has_its_assets():
    assert all(status.ready for status in assets.status()), "run `lab prepare` first"
    assert all(asset.licence and asset.citation for asset in assets.catalogue().values())


def test_a_new_data_set_is_one_entry_of_the_catalogue(write_catalogue, cache, tmp_path, monkeypatch):
    rows = "".join(f"post {number},{number % 2}\n" for number in range(40))
    content = wheel({"pkg/posts.csv": f"post,tone\n{rows}".encode()})
    (tmp_path / ARCHIVE).write_bytes(content)
    monkeypatch.setenv("LAB_ARCHIVES", str(tmp_path))
    columns = {"file": "posts.csv", "text": "post", "label": "tone", "labels": ["mild", "rude"]}
    write_catalogue(
        bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), unpack=[{"from": "pkg/*.csv", "to": "."}],
        sets={"manners": {"reader": "table", "options": columns}},
    )  # fmt: skip
    dataset = data.load("manners")
    assert dataset[:2] == {"text": ["post 0", "post 1"], "label": [0, 1]}
    assert dataset.features["label"].names == ["mild", "rude"]
    assert sum(map(len, data.prepared("manners").values())) == 40
    with pytest.raises(LabError, match="Choose one of manners, a Hub id"):
        data.load("maners")


def test_gguf_weights_are_those_of_the_library(tmp_path):
    """A tiny GGUF model, written here, becomes the same model that transformers reads from it."""
    import torch
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize
    from transformers import AutoModelForCausalLM

    reference = tiny_gguf(tmp_path / "tiny.gguf", GGUFWriter, quantize, GGMLQuantizationType.Q4_1)
    expected = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    assets.convert_gguf(tmp_path)
    assert not (tmp_path / "tiny.gguf").exists()
    found = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert found.dtype == torch.bfloat16
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], weight.to(torch.bfloat16), rtol=0, atol=0)
    assert found.config.num_key_value_heads == reference["heads_kv"]


def tiny_gguf(file, writer_class, quantize, kind):
    """Write a random two-layer Llama as GGUF with a byte-level vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = ["<unk>", "<s>", "</s>", *bytes_to_unicode().values(), "ab"]
    described = {
        "context_length": 128, "embedding_length": 64, "block_count": 2, "feed_forward_length": 96, "head_count": 4,
        "head_count_kv": 2, "layer_norm_rms_eps": 1e-5, "rope_freq_base": 10_000.0, "vocab_size": len(tokens),
        "tokenizer_model": "gpt2", "token_list": tokens, "token_types": [3, 3, 3] + [1] * (len(tokens) - 3),
        "token_merges": ["a b"], "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    writer = writer_class(file, "llama")
    for name, value in described.items():
        getattr(writer, f"add_{name}")(value)
    tiny_tensors(writer, len(tokens), lambda weight: quantize(weight, kind), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"heads_kv": described["head_count_kv"]}


def tiny_tensors(writer, words, packed, kind):
    """Add random weights: the matrices packed into 4 bits, the others as they are."""
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}
    shapes |= {"ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}
    for layer in range(2):
        for name, shape in shapes.items():
            weight = packed(rng.standard_normal(shape).astype(np.float32))
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight, raw_dtype=kind)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", rng.random(64).astype(np.float32))
    writer.add_tensor("token_embd.weight", rng.standard_normal((words, 64)).astype(np.float32))
    writer.add_tensor("output_norm.weight", rng.random(64).astype(np.float32))
