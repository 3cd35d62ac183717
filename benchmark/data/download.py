"""Finds a file that has a checksum: in a mirror, among earlier downloads, or at its official place."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.base import Places
from benchmark.errors import BenchError

_PIECE = 1 << 20
_TIMEOUT = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: its path inside a mirror, the addresses of its official place, and its MD5."""

    path: str
    urls: tuple[str, ...]
    md5: str


def fetch(name: str, file: RemoteFile, places: Places) -> Path:
    """Return where `file` of data set `name` lies on this machine, its MD5 checked, downloading it if needed.

    A download appears under its name only when it is whole and its checksum right; one that broke off is taken up
    where it stopped. `BenchError` names the data set, the places looked in, and the remedy.
    """
    for mirror in places.mirrors:
        if not _is_address(mirror):
            path = Path(mirror).expanduser() / file.path
            if path.is_file():
                if (found := file_md5(path)) != file.md5:
                    raise BenchError(
                        f"{name}: {path} has MD5 {found}, the official file {file.md5}; "
                        "replace it or take it out of the mirror"
                    )
                return path
    target = places.downloads / file.path
    if target.is_file():
        if file_md5(target) == file.md5:
            return target
        target.unlink()
    addresses = [f"{mirror.rstrip('/')}/{file.path}" for mirror in places.mirrors if _is_address(mirror)]
    reasons = []
    for url in (*addresses, *file.urls):
        try:
            _download(name, url, target, file.md5, places)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url} ({_reason(error)})")
        else:
            return target
    looked = ", ".join(mirror for mirror in places.mirrors if not _is_address(mirror)) or "no mirror folder"
    raise BenchError(
        f"{name}: {file.path} is not in {looked} and cannot be had from {', '.join(reasons) or 'any address'}; run "
        "again with a network, or name a folder that holds it in DAPBENCH_MIRRORS or data.mirrors"
    )


def file_md5(path: Path) -> str:
    """Return the MD5 of a file; it guards against damage, not against forgery."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _is_address(mirror: str) -> bool:
    return re.match(r"https?://", mirror) is not None


def _download(name: str, url: str, target: Path, md5: str, places: Places) -> None:
    """Download `url` to `target` through `target`.part; `OSError` leaves the part for the next attempt."""
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        # 416: the part already holds every byte; its checksum decides.
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
    else:
        with response:
            resumed = response.status == http.client.PARTIAL_CONTENT
            done = start if resumed else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else 0
            with part.open("ab" if resumed else "wb") as file:
                while piece := response.read(_PIECE):
                    file.write(piece)
                    done += len(piece)
                    places.progress(f"download {target.name}", done / total if total else 0.0)
            if done < total:
                raise OSError(f"broke off after {done} of {total} bytes; the next run goes on from there")
    found = file_md5(part)
    if found != md5:
        part.unlink()
        raise BenchError(f"{name}: {url} has MD5 {found}, {md5} expected; nothing was kept, run again or use a mirror")
    part.replace(target)


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)
