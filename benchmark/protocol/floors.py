"""The floors: what the measures of frozen features give on raw pixels, over the very same episodes."""

from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.results import Floor, Floors
from benchmark.jobs.specs import FloorSpec
from benchmark.jobs.store import Context
from benchmark.protocol.frozen import frozen_measures, summarised
from benchmark.protocol.source import open_source
from benchmark.protocol.target import open_target


def compute(job: Job[FloorSpec], context: Context) -> JobOutput:
    """Measure the images themselves on every target; no network is involved."""
    source = open_source(job.spec, context)
    floors, chance = [], {}
    for number, spec in enumerate(job.spec.targets, start=1):
        target = open_target(spec, job.spec.seed, source, context.data_root)
        chance[spec.label] = target.chance
        for measure, shots, found in frozen_measures(None, source, target, spec):
            floors.append(Floor(target=spec.label, shots=shots, measure=measure, **summarised(found)))
        context.progress(job.label, number / len(job.spec.targets))
    return JobOutput(Floors(floors=floors, chance=chance))
