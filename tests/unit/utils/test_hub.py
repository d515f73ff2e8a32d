"""The hub: models from folders and archives, weights from URLs."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import sys
import tarfile
import threading
import zipfile
from urllib.error import HTTPError, URLError

import pytest

import dispatchtorch as torch
from dispatchtorch import hub

HUBCONF = '''
dependencies = ["json"]
import sibling

def model(a, b=2):
    """Makes a model."""
    return "model", a, b, sibling.NUMBER

class Net:
    def __init__(self, k):
        self.k = k

def _hidden():
    pass

NUMBER = 3
'''


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    (folder / "sibling.py").write_text("NUMBER = 5\n")
    yield folder
    sys.modules.pop("sibling", None)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_the_folder_of_downloads(monkeypatch):
    monkeypatch.setattr(hub, "_hub_dir", None)
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert hub.get_dir() == os.path.expanduser("~/.cache/torch/hub")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert hub.get_dir() == "/cache/torch/hub"
    monkeypatch.setenv("TORCH_HOME", "/home")
    assert hub.get_dir() == "/home/hub"
    hub.set_dir("~/x")
    assert hub.get_dir() == os.path.expanduser("~/x")


def test_models_from_a_folder(repo):
    assert hub.load(str(repo), "model", 1, b=7, source="local") == ("model", 1, 7, 5)
    assert hub.load(str(repo), "Net", source="local", k=3).k == 3
    assert hub.list(str(repo)) == ["Net", "model"]
    assert hub.help(str(repo), "model") == "Makes a model."
    assert str(repo) not in sys.path


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_models_from_an_archive(repo, kind, tmp_path):
    path = str(tmp_path / f"archive.{kind}")
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in repo.iterdir():
                archive.write(file, f"owner-repo-123/{file.name}")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(repo, "owner-repo-123")
    for _ in range(2):
        assert hub.load(path, "model", 1, source="local") == ("model", 1, 2, 5)
    assert hub.list(path) == ["Net", "model"]


def test_an_archive_cannot_write_outside_of_its_folder(tmp_path, home):
    path = str(tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped.py", "")
    with pytest.raises(ValueError, match="outside"):
        hub.load(path, "model", source="local")
    assert not list(tmp_path.rglob("escaped.py"))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nope", RuntimeError, "Cannot find callable nope in hubconf"),
        ("NUMBER", RuntimeError, "Cannot find callable NUMBER"),
        (3, ValueError, "model should be a string of function name"),
    ],
)
def test_entries_that_are_not_there(repo, name, error, message):
    with pytest.raises(error, match=message):
        hub.load(str(repo), name, source="local")


def test_dependencies_that_are_not_there(repo):
    with (repo / "hubconf.py").open("a") as file:
        file.write('dependencies = ["no_such_a", "no_such_b"]\n')
    with pytest.raises(
        RuntimeError, match="Missing dependencies: no_such_a, no_such_b"
    ):
        hub.load(str(repo), "model", 1, source="local")


def test_unknown_sources(repo):
    with pytest.raises(ValueError, match='Unknown source: "web"'):
        hub.load(str(repo), "model", source="web")


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder and counts the requests."""

    def __init__(self, folder):
        self.paths = []
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                server.paths.append(self.path)
                super().do_GET()

            def log_message(self, *args):
                pass

        super().__init__(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with Server(folder) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        served.folder = folder
        yield served
        served.shutdown()


@pytest.fixture
def weights(server):
    """A saved state, served under a name with its hash."""
    path = server.folder / "plain.pth"
    torch.save({"w": torch.arange(3.0)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    shutil.copy(path, server.folder / f"model-{digest[:8]}.pth")
    shutil.copy(path, server.folder / "wrong-12345678.pth")
    return digest


def test_weights_are_downloaded_once(server, weights, home, capsys):
    url = f"{server.url}/model-{weights[:8]}.pth"
    for _ in range(2):
        state = hub.load_state_dict_from_url(url, progress=False, check_hash=True)
        assert state["w"].tolist() == [0.0, 1.0, 2.0]
    assert len(server.paths) == 1
    assert os.listdir(home / "checkpoints") == [f"model-{weights[:8]}.pth"]
    assert capsys.readouterr().out.startswith(f'Downloading: "{url}" to ')


def test_a_wrong_hash_leaves_nothing_behind(server, weights, home):
    url = f"{server.url}/wrong-12345678.pth"
    with pytest.raises(RuntimeError, match='invalid hash value .expected "12345678"'):
        hub.load_state_dict_from_url(url, progress=False, check_hash=True)
    assert os.listdir(home / "checkpoints") == []


def test_weights_under_another_name_and_from_a_file_url(server, weights, tmp_path):
    url = (server.folder / "plain.pth").as_uri()
    folder = tmp_path / "own"
    hub.load_state_dict_from_url(url, str(folder), progress=False, file_name="q.pth")
    assert os.listdir(folder) == ["q.pth"]


def test_a_zip_with_one_file_in_it_is_opened(server, weights):
    with zipfile.ZipFile(server.folder / "zipped.zip", "w") as archive:
        archive.write(server.folder / "plain.pth", "inner.pth")
    state = hub.load_state_dict_from_url(f"{server.url}/zipped.zip", progress=False)
    assert state["w"].tolist() == [0.0, 1.0, 2.0]


def test_what_is_not_there_is_an_error_and_leaves_nothing(server, tmp_path):
    target = tmp_path / "target"
    with pytest.raises(HTTPError):
        hub.download_url_to_file(f"{server.url}/none", str(target), progress=False)
    with pytest.raises(URLError):
        hub.download_url_to_file(
            (tmp_path / "none").as_uri(), str(target), progress=False
        )
    assert not list(tmp_path.glob("target*"))


def test_progress_is_shown_with_and_without_tqdm(
    server, weights, tmp_path, capsys, monkeypatch
):
    url = f"{server.url}/plain.pth"
    hub.download_url_to_file(url, str(tmp_path / "a"), progress=True)
    assert "100%" in capsys.readouterr().err or "tqdm" not in sys.modules
    monkeypatch.setitem(sys.modules, "tqdm", None)
    hub.download_url_to_file(url, str(tmp_path / "b"), progress=True)
    assert capsys.readouterr().err.endswith("\r100.0%\n")
    hub.download_url_to_file(url, str(tmp_path / "c"), progress=False)
    assert capsys.readouterr().err == ""


@pytest.fixture
def github(server, repo, monkeypatch):
    """A stand-in for GitHub with the repository ``owner/name``."""
    (server.folder / "api").mkdir()
    (server.folder / "branches-1").write_text(
        '[{"name": "main", "commit": {"sha": "abcdef"}}]'
    )
    for name in ("branches-2", "tags-1"):
        (server.folder / name).write_text("[]")
    (server.folder / "main").write_text("")
    with zipfile.ZipFile(server.folder / "archive-main", "w") as archive:
        for file in repo.iterdir():
            archive.write(file, f"owner-name-abc/{file.name}")
    monkeypatch.setattr(hub, "_PAGE_URL", server.url + "/{ref}")
    monkeypatch.setattr(hub, "_REFS_URL", server.url + "/{kind}-{page}")
    monkeypatch.setattr(hub, "_ARCHIVE_URL", server.url + "/archive-{ref}")
    return server


def test_a_repository_is_downloaded_once_and_reloaded_on_demand(github, home, capsys):
    load = functools.partial(hub.load, "owner/name", "model", 1, trust_repo=True)
    assert load() == ("model", 1, 2, 5)
    assert github.paths.count("/archive-main") == 1
    assert load() == ("model", 1, 2, 5)
    assert "Using cache found in" in capsys.readouterr().err
    assert github.paths.count("/archive-main") == 1
    assert load(force_reload=True, verbose=False) == ("model", 1, 2, 5)
    assert github.paths.count("/archive-main") == 2
    assert hub.list("owner/name") == ["Net", "model"]
    assert hub.help("owner/name:main", "model") == "Makes a model."
    assert sorted(os.listdir(home)) == ["owner_name_main", "trusted_list"]


def test_a_commit_of_a_fork_is_refused(github):
    with pytest.raises(ValueError, match="forked repo"):
        hub.load("owner/name:123456", "model", 1, trust_repo=True)


@pytest.mark.parametrize(
    ("answer", "trusted"), [("y", True), ("n", False), ("", False)]
)
def test_an_untrusted_repository_is_asked_about(
    github, home, monkeypatch, answer, trusted
):
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    if not trusted:
        with pytest.raises(Exception, match="Untrusted repository"):
            hub.load("owner/name", "model", 1)
        return
    hub.load("owner/name", "model", 1)
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asked again"))
    hub.load("owner/name", "model", 1)


def test_without_a_connection_the_cache_serves(github, home, monkeypatch):
    hub.load("owner/name", "model", 1, trust_repo=True)
    monkeypatch.setattr(hub, "_PAGE_URL", "http://127.0.0.1:1/{ref}")
    assert hub.load("owner/name", "model", 1)[0] == "model"
    with pytest.raises(RuntimeError, match="no internet connection"):
        hub.load("owner/other", "model", 1)
