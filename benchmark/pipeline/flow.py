"""The jobs of a grid in the order in which they become possible, without a barrier between its steps."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.jobs.job import Job, Spec
from benchmark.pipeline.plan import Plan, Search

AnyJob = Job[Any]


@dataclass
class _Group:
    """The searches of a method's variant with one seed: of what they find, some may be one job."""

    plan: Plan
    method: str
    searches: list[Search] = field(default_factory=list)
    open: set[str] = field(default_factory=set)  # keys of the searches that are not settled

    def transfers(self) -> list[AnyJob]:
        found = self.plan.transfers(self.method, finished_only=True, searches=self.searches)
        return [transfer.job for transfer in found]


class Flow:
    """What can be computed of some plans' methods, at first and after each job that is settled: finished or failed.

    A search follows its pretraining. A retraining follows the searches of its method, variant and seed, and the choice
    of its learning rates. Together these are the jobs of `fill`.
    """

    def __init__(self, work: Sequence[tuple[Plan, Sequence[str]]]) -> None:
        self._work = work
        self._searches: dict[str, dict[str, AnyJob]] = defaultdict(dict)  # by the key of the pretraining
        self._groups: dict[str, list[_Group]] = defaultdict(list)  # by the keys of their searches
        self._tunings: dict[str, list[_Group]] = defaultdict(
            list
        )  # by the key of a choice of learning rates
        for plan, methods in work:
            groups: dict[tuple[str, str, int], _Group] = {}
            for search in (search for method in methods for search in plan.all_searches(method)):
                place = (search.name, search.variant, search.seed)
                group = groups.setdefault(place, _Group(plan, search.name))
                group.searches.append(search)
                group.open.add(search.job.key)
                self._groups[search.job.key].append(group)
                self._searches[search.job.spec.pretrain][search.job.key] = search.job
            for job in plan.tune_jobs():
                self._tunings[job.key] += groups.values()

    def first(self) -> list[AnyJob]:
        """Return the jobs that need no other one."""
        return [
            job
            for jobs in ("tune_jobs", "pretrain_jobs", "floor_jobs")
            for plan, _ in self._work
            for job in getattr(plan, jobs)()
        ]

    def after(self, job: Job[Spec], finished: bool) -> list[AnyJob]:
        """Return what becomes possible once a job is settled; some of it may have been returned before."""
        if job.key in self._searches:
            searches = self._searches.pop(job.key)
            return list(searches.values()) if finished else self._settled(searches)
        if job.key in self._tunings:
            groups = self._tunings.pop(job.key)
            return [job for group in groups if not group.open for job in group.transfers()]
        return self._settled([job.key])

    def _settled(self, searches: Iterable[str]) -> list[AnyJob]:
        following = []
        for key in searches:
            for group in self._groups.pop(key, ()):
                group.open.discard(key)
                if not group.open:
                    following += group.transfers()
        return following
