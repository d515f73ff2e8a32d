"""Loading models and weights that others publish.

A repository offers models as functions in a file ``hubconf.py``; it is a folder or an
archive here, or lives on GitHub. Weights are files behind a URL. What is downloaded is
kept under :func:`get_dir`, which is PyTorch's folder, so nothing is downloaded twice.

Loading runs the repository's code.
"""

from __future__ import annotations

import builtins
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import dispatchtorch as torch

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

_ARCHIVE_URL = "https://github.com/{owner}/{repo}/zipball/{ref}"
_PAGE_URL = "https://github.com/{owner}/{repo}/tree/{ref}/"
_REFS_URL = (
    "https://api.github.com/repos/{owner}/{repo}/{kind}?per_page=100&page={page}"
)
_TRUSTED_OWNERS = ("facebookincubator", "facebookresearch", "fairinternal", "pytorch")
_HUBCONF = "hubconf.py"
_CHUNK = 1 << 17
_HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")

_hub_dir: str | None = None


def get_dir() -> str:
    """The folder that downloads are kept in.

    The one given to :func:`set_dir`, else ``$TORCH_HOME/hub``, else
    ``$XDG_CACHE_HOME/torch/hub``, else ``~/.cache/torch/hub``.
    """
    if _hub_dir is not None:
        return _hub_dir
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    """The folder of caches; packages that keep files beside the hub's ask for it."""
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the folder that downloads are kept in."""
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


# Repositories ---------------------------------------------------------------------


def list(
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str = "check",
    verbose: bool = True,
) -> builtins.list[str]:
    """The names of all that a repository offers.

    Args:
        github: ``"owner/name[:ref]"``, or an absolute path, or one that starts with a
            dot, of a folder or an archive.
        force_reload: downloads again what is already here.
        skip_validation: doesn't ask GitHub whether ``ref`` belongs to the repository.
        trust_repo: True trusts the repository from now on, ``"check"`` asks unless it
            is trusted already, False asks always.
        verbose: says where what is found in the cache comes from.
    """
    if _is_path(github):
        folder = _local_folder(github, force_reload)
    else:
        folder = _github_folder(
            github, force_reload, trust_repo, verbose, skip_validation
        )
    with _hubconf(folder) as module:
        return [
            name
            for name in dir(module)
            if not name.startswith("_") and callable(getattr(module, name))
        ]


def help(
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str = "check",
) -> str | None:
    """The docstring of what a repository offers as ``model``; see :func:`list`."""
    if _is_path(github):
        folder = _local_folder(github, force_reload)
    else:
        folder = _github_folder(github, force_reload, trust_repo, True, skip_validation)
    with _hubconf(folder) as module:
        return _entry(module, model).__doc__


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: bool | str = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What a repository's entry ``model`` returns for ``args`` and ``kwargs``.

    Args:
        repo_or_dir: ``"owner/name[:ref]"``, or with ``source="local"`` the path of a
            folder or of an archive.
        source: ``"github"`` or ``"local"``.
            See :func:`list` for the others.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(
            f'Unknown source: "{source}". Allowed values: "github" | "local".'
        )
    if source == "github":
        folder = _github_folder(
            repo_or_dir, force_reload, trust_repo, verbose, skip_validation
        )
    else:
        folder = _local_folder(repo_or_dir, force_reload)
    with _hubconf(folder) as module:
        return _entry(module, model)(*args, **kwargs)


@contextmanager
def _hubconf(folder: str) -> Iterator[Any]:
    """The module ``hubconf.py``; its neighbours can be imported while it is in use."""
    from importlib.util import module_from_spec, spec_from_file_location

    sys.path.insert(0, folder)
    try:
        spec = spec_from_file_location("hubconf", os.path.join(folder, _HUBCONF))
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def _entry(module: Any, name: str) -> Callable[..., Any]:
    from importlib.util import find_spec

    if not isinstance(name, str):
        raise ValueError("Invalid input: model should be a string of function name")
    needed = getattr(module, "dependencies", None) or ()
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    entry = getattr(module, name, None)
    if not callable(entry):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    return entry


def _is_path(repo: str) -> bool:
    return os.path.isabs(repo) or repo.startswith(".")


def _local_folder(path: str, reload: bool) -> str:
    """``path``, or where the archive at ``path`` is unpacked to."""
    if not os.path.isfile(path):
        return path
    import hashlib

    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stem = os.path.basename(path).split(".")[0]
    folder = os.path.join(get_dir(), f"{stem}_{digest[:16]}")
    if reload or not os.path.exists(folder):
        _unpack(path, folder)
    return folder


def _unpack(archive: str, folder: str) -> None:
    """Unpacks into ``folder``, all at once; an only folder in the archive vanishes."""
    import tarfile
    import tempfile
    import zipfile

    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as scratch:
        inside = os.path.join(scratch, "unpacked")
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _check_inside(inside, zipped.namelist())
                zipped.extractall(inside)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tarred:
                _check_inside(inside, tarred.getnames())
                tarred.extractall(inside, filter="data")
        else:
            raise ValueError(f"{archive} is neither a folder nor a zip or tar archive")
        top = os.listdir(inside)
        if len(top) == 1 and os.path.isdir(os.path.join(inside, top[0])):
            inside = os.path.join(inside, top[0])
        if os.path.exists(folder):
            shutil.rmtree(folder)
        os.replace(inside, folder)


def _check_inside(folder: str, names: Iterable[str]) -> None:
    root = os.path.realpath(folder)
    for name in names:
        target = os.path.realpath(os.path.join(root, name))
        if os.path.commonpath([root, target]) != root:
            raise ValueError(f"the archive has a path outside of it: {name}")


# GitHub ---------------------------------------------------------------------------


def _open_url(url: str) -> Any:
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "dispatchtorch.hub"}
    token = os.getenv("GITHUB_TOKEN")
    if token and url.startswith("https://api.github.com/"):
        headers["Authorization"] = f"token {token}"
    return urlopen(Request(url, headers=headers))


def _parse(github: str) -> tuple[str, str, str]:
    """Owner, name and ref; without a ref ``main``, or else ``master``."""
    from urllib.error import HTTPError, URLError

    slug, _, ref = github.partition(":")
    owner, repo = slug.split("/")
    if ref:
        return owner, repo, ref
    try:
        with _open_url(_PAGE_URL.format(owner=owner, repo=repo, ref="main")):
            ref = "main"
    except HTTPError as error:
        if error.code != 404:
            raise
        ref = "master"
    except URLError as error:
        # Without a connection, what is here already may do.
        for ref in ("main", "master"):
            if os.path.exists(os.path.join(get_dir(), f"{owner}_{repo}_{ref}")):
                return owner, repo, ref
        raise RuntimeError(
            f"It looks like there is no internet connection and the repo could not be "
            f"found in the cache ({get_dir()})"
        ) from error
    return owner, repo, ref


def _check_ref(owner: str, repo: str, ref: str) -> None:
    """ValueError where ``ref`` is a commit of some fork: anyone can put one there."""
    import json

    for kind in ("branches", "tags"):
        page = 1
        while True:
            url = _REFS_URL.format(owner=owner, repo=repo, kind=kind, page=page)
            with _open_url(url) as answer:
                found = json.loads(answer.read())
            for entry in found:
                if ref == entry["name"] or entry["commit"]["sha"].startswith(ref):
                    return
            if not found:
                break
            page += 1
    raise ValueError(
        f"Cannot find {ref} in https://github.com/{owner}/{repo}. If it's a commit "
        "from a forked repo, please call hub.load() with forked repo directly."
    )


def _check_trust(owner: str, repo: str, trust: bool | str) -> None:
    """Asks, or remembers the answer, in a file that lists trusted repositories."""
    name = f"{owner}_{repo}"
    path = os.path.join(get_dir(), "trusted_list")
    trusted = set()
    if os.path.exists(path):
        with open(path) as file:
            trusted = {line.strip() for line in file}
    if trust not in (True, False, "check"):
        raise ValueError(f"trust_repo is True, False or 'check', not {trust!r}")
    if trust is not True:
        if trust == "check" and (name in trusted or owner in _TRUSTED_OWNERS):
            return
        answer = input(
            f"The repository {name} does not belong to the list of trusted "
            "repositories and as such cannot be downloaded. Do you trust this "
            "repository and wish to add it to the trusted list of repositories (y/N)?"
        ).strip()
        if answer.lower() in ("", "n", "no"):
            raise Exception("Untrusted repository.")
        if answer.lower() not in ("y", "yes"):
            raise ValueError(f"Unrecognized response {answer}.")
    if name not in trusted:
        with open(path, "a") as file:
            file.write(name + "\n")


def _github_folder(
    github: str,
    reload: bool,
    trust: bool | str,
    verbose: bool,
    skip_validation: bool,
) -> str:
    """Where the repository is unpacked, after downloading it if necessary."""
    os.makedirs(get_dir(), exist_ok=True)
    owner, repo, ref = _parse(github)
    _check_trust(owner, repo, trust)
    # Slashes in a branch's name would make folders.
    folder = os.path.join(get_dir(), f"{owner}_{repo}_{ref}".replace("/", "_"))
    if os.path.exists(folder) and not reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    if not skip_validation:
        _check_ref(owner, repo, ref)
    archive = folder + ".zip"
    try:
        url = _ARCHIVE_URL.format(owner=owner, repo=repo, ref=ref)
        sys.stdout.write(f'Downloading: "{url}" to {archive}\n')
        download_url_to_file(url, archive, progress=False)
        _unpack(archive, folder)
    finally:
        if os.path.exists(archive):
            os.remove(archive)
    return folder


# Files ----------------------------------------------------------------------------


class _Percent:
    """A progress bar for those who don't have tqdm."""

    def __init__(self, total: int | None, disable: bool, **_: Any) -> None:
        self.total, self.done, self.silent = total, 0, disable

    def update(self, n: int) -> None:
        self.done += n
        if self.silent:
            return
        share = f"{100 * self.done / self.total:.1f}%" if self.total else f"{self.done}"
        sys.stderr.write(f"\r{share}")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self.silent:
            sys.stderr.write("\n")


def _progress_bar(total: int | None, disable: bool) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _Percent(total, disable)
    return tqdm(
        total=total, disable=disable, unit="B", unit_scale=True, unit_divisor=1024
    )


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Downloads to the file ``dst``, which appears when it is whole and not before.

    Args:
        hash_prefix: what the file's SHA-256 has to begin with.
        progress: shows how far it is, with tqdm if that is installed.

    Raises:
        RuntimeError: the hash is another one, or the file came incomplete.
    """
    import hashlib
    import secrets

    dst = os.path.expanduser(dst)
    partial = f"{dst}.{secrets.token_hex(8)}.partial"
    digest = hashlib.sha256()
    try:
        with _open_url(url) as source, open(partial, "xb") as file:
            length = source.headers.get("Content-Length")
            total = int(length) if length else None
            received = 0
            with _progress_bar(total, not progress) as bar:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    received += len(chunk)
                    bar.update(len(chunk))
        if total is not None and received != total:
            raise RuntimeError(
                f"download of {url} is incomplete: {received} of {total} bytes"
            )
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", '
                f'got "{digest.hexdigest()}")'
            )
        os.replace(partial, dst)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """The saved object behind ``url``, downloaded unless it is here already.

    Args:
        model_dir: where to keep it, by default ``checkpoints`` in :func:`get_dir`.
        map_location, weights_only: as for ``load``.
        progress: shows how far the download is.
        check_hash: whether the name is ``name-<hash>.ext`` with the first digits of the
            file's SHA-256, to be checked after the download.
        file_name: the name to keep it under, by default that in the URL.
    """
    from urllib.parse import urlparse

    model_dir = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir, name)
    if not os.path.exists(path):
        sys.stdout.write(f'Downloading: "{url}" to {path}\n')
        found = _HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    member = _only_member(path)
    if member is None:
        return torch.load(path, map_location=map_location, weights_only=weights_only)
    import io
    import zipfile

    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read(member))
    return torch.load(data, map_location=map_location, weights_only=weights_only)


def _only_member(path: str) -> str | None:
    """The one file in a zip archive that was not made by ``save``."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
    return files[0].filename if len(files) == 1 else None
