"""The commit that holds a result file."""

import subprocess
from pathlib import Path


def commit_of(root: Path, path: Path) -> dict[str, str]:
    """Return MLflow's tag for the commit that last changed `path`, as MLflow's table shows it ("Version").

    A file that differs from what is committed has the tag of the present commit and `uncommitted`. Outside of git there
    is no tag.
    """
    file = str(path.resolve())
    changed = _git(root, "status", "--porcelain", "--ignored", "--", file)
    if changed is None:
        return {}
    commit = _git(root, "rev-parse", "HEAD") if changed else _git(root, "log", "-1", "--format=%H", "--", file)
    return {"mlflow.source.git.commit": commit, **({"uncommitted": "true"} if changed else {})} if commit else {}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
