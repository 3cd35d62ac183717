"""What a plan must know of methods and large models, without importing torch or a library once it is known.

Answers are remembered in the store, under the hash of the code that gave them.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.files import canonical_json, file_sha256, read_json, sha256, write_json
from benchmark.jobs.fingerprint import fingerprint
from benchmark.jobs.store import Store

_LIBRARIES = ("torchvision", "timm")


def remembered(store: Store, question: dict[str, Any], look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Answer `question` from the store as long as the code of the answer's `module` is what it was.

    An answer that was damaged on the disk is as good as none.
    """
    path = store.root / "known" / f"{sha256(canonical_json(question))}.json"
    try:
        known = read_json(path)
        answer: dict[str, Any] = known["answer"]
        if known["checksum"] == _checksum(answer) and known["code"] == fingerprint((answer["module"],)):
            return answer
    except (BenchError, KeyError, TypeError):
        pass  # never asked, or not readable: look again
    answer = look()
    write_json(path, {"answer": answer, "code": fingerprint((answer["module"],)), "checksum": _checksum(answer)})
    return answer


def _checksum(answer: dict[str, Any]) -> str:
    return sha256(canonical_json(answer))


def module_of(model: ModelRef, store: Store) -> str:
    """Return the module that defines a large model; a library's is not hashed, for its version stands in the spec."""
    if model.library in _LIBRARIES:
        return "benchmark.models"
    if model.library == "python":
        return model.name.split(":")[1]

    def look() -> dict[str, Any]:
        from benchmark.models import model_class

        return {"module": model_class(model.name).__module__}

    module: str = remembered(store, {"model": model.name}, look)["module"]
    return module


def elsewhere(model: ModelRef, store: Store, where: str) -> dict[str, str]:
    """Return what keys say of a large model beside its name: `library` and version, and its `pretrained` weights.

    These are the SHA-256 of a file's content, or the address of published ones. Raises `BenchError`, beginning with the
    key `where`, when the file cannot be read.
    """
    facts = {"library": f"{model.library} {version(model.library)}"} if model.library in _LIBRARIES else {}
    if model.file is not None:
        path = Path(model.file).expanduser()
        try:
            facts["pretrained"] = file_sha256(path)
        except OSError as error:
            raise BenchError(f"{where}.file: {path} cannot be read ({error.strerror}); expected weights") from error
    elif model.pretrained:

        def look() -> dict[str, Any]:
            from benchmark.models.pretrained import published

            return {"module": "benchmark.models.pretrained", "address": published(model.name)}

        facts["pretrained"] = remembered(store, {"weights": model.name, **facts}, look)["address"]
    return facts
