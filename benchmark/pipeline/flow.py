"""The jobs of a grid in the order in which they become possible, without a barrier between its steps."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.jobs.job import Job
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
    """The missing jobs of some plans' methods: those that are possible at first, and after each one that is settled.

    A job is settled when it is finished or has failed. A search follows its pretraining. A retraining follows the
    searches of its method, variant and seed, and the choice of its learning rates. What the stores have is passed over,
    and every job returned once.
    """

    def __init__(self, work: Sequence[tuple[Plan, Sequence[str]]]) -> None:
        self._work = work
        self._returned: set[str] = set()
        self._searches: dict[str, dict[str, AnyJob]] = defaultdict(dict)  # by the key of the pretraining
        self._groups: dict[str, list[_Group]] = defaultdict(list)  # by the keys of their searches
        self._tunings: dict[str, list[_Group]] = defaultdict(list)  # by the key of a choice of learning rates
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
        """Return the jobs that need no other one, or only such as are finished."""
        return self._missing(
            job for plan, _ in self._work for job in (*plan.tune_jobs(), *plan.pretrain_jobs(), *plan.floor_jobs())
        )

    def after(self, job: AnyJob, finished: bool) -> list[AnyJob]:
        """Return what becomes possible now that a job is finished, or has failed."""
        return self._missing(self._following(job, finished))

    def _missing(self, jobs: Iterable[AnyJob]) -> list[AnyJob]:
        store = self._work[0][0].store
        waiting, found = deque(jobs), []
        while waiting:
            job = waiting.popleft()
            if job.key not in self._returned:
                self._returned.add(job.key)
                if store.has(job.key):
                    waiting.extend(self._following(job, True))
                else:
                    found.append(job)
        return found

    def _following(self, job: AnyJob, finished: bool) -> list[AnyJob]:
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
