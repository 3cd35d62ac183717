"""The studies: groups of a method's variants that answer one question together, each measured against its default."""

from dataclasses import dataclass

from benchmark.config.params import Params


@dataclass(frozen=True)
class Study:
    """A study of a method; `variants` without the default one, in the order of params.yaml."""

    name: str
    method: str
    variants: tuple[str, ...]


def studies_of(params: Params, suite: str) -> list[Study]:
    """Return the studies of a suite: those all of whose variants run there, in the order of params.yaml.

    Some of a study's variants alone answer another question, so a suite that runs only these has no such study.
    """
    found = []
    for method in params.methods_of(suite):
        variants = params.method(method).variants
        running = set(params.variants_of(suite, method))
        for study in dict.fromkeys(variant.study for variant in variants.values() if variant.study is not None):
            members = tuple(name for name, variant in variants.items() if variant.study == study)
            if running.issuperset(members):
                found.append(Study(study, method, members))
    return found
