"""Step one: train the large model on the source, or take and check the weights it has from elsewhere."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from benchmark import models, seeds
from benchmark.errors import BenchError
from benchmark.files import file_sha256
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.results import Pretrained, SourceAccuracy
from benchmark.jobs.specs import PretrainSpec
from benchmark.jobs.store import Context
from benchmark.protocol.permutations import open_searched
from benchmark.protocol.source import Source
from benchmark.space.graph.macs import count
from benchmark.training.loop import accuracy, batches, fit, on_device, training_flops


def compute(job: Job[PretrainSpec], context: Context) -> JobOutput:
    """Train the large model of the job's seed; returns its accuracies and `final.safetensors`, its state.

    A model pretrained elsewhere is not trained, and costs nothing here: its weights are loaded, and evaluated. When
    their classifier is for another number of classes than the source's, it is replaced by a linear readout: a new
    one, trained by the suite's source recipe on the features of the frozen network. Its accuracy is then that of
    the readout.
    """
    source = open_searched(job.spec, context)
    if job.spec.pretrained is not None:
        network, steps = _given(job, source)
        flops = 0
    else:
        network, steps = source.large_model(), source.recipe.steps
        _, macs = count(network, source.example().to(source.device))
        flops = training_flops(macs, source.train_on_source(network))
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return JobOutput(
        values=Pretrained(
            accuracy=SourceAccuracy(
                validation=accuracy(network, source.validation), test=accuracy(network, source.test)
            ),
            flops=flops,
            steps=steps,
        ),
        files={"final.safetensors": save(state)},
    )


def _given(job: Job[PretrainSpec], source: Source) -> tuple[nn.Module, int]:
    """The large model with the weights from elsewhere, in eval mode, and the steps its classifier was trained for."""
    named = {"file": job.inputs["weights"]} if "weights" in job.inputs else {"pretrained": True}
    if "file" in named and file_sha256(Path(job.inputs["weights"])) != job.spec.pretrained:
        raise BenchError(f"{job.inputs['weights']}: the weights changed since this job was planned; run again")
    channels, size, _ = source.train.shape
    ref = source.model.model_copy(update=named)
    network, whole = models.build_pretrained(ref, channels, source.classes, size)
    if not whole:
        models.replace_head(network, source.classes, seeds.derive(source.seed, "init"), source.example())
    network = on_device(network, source.device).eval()
    if whole:
        return network, 0
    order = seeds.generator(source.seed, "source-order")
    head = models.freeze_body(network, source.example())
    fit(network, head, batches(source.train, source.recipe, order), source.recipe)
    return network, source.recipe.steps
