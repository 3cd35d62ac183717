"""Step one: train the large model on the source."""

from safetensors.torch import save

from benchmark.cells import Cell, CellOutput, Context
from benchmark.protocol.source import open_source
from benchmark.space.counting import count
from benchmark.training import accuracy, training_flops


def compute(cell: Cell, context: Context) -> CellOutput:
    """Train the large model of the cell's seed; returns its accuracies and `final.safetensors`, its state."""
    source = open_source(cell, context)
    network = source.large_model()
    _, macs = count(network, source.example().to(source.device))
    images = source.train_on_source(network)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return CellOutput(
        values={
            "accuracy": {
                "validation": accuracy(network, source.validation),
                "test": accuracy(network, source.test),
            },
            "flops": training_flops(macs, images),
            "steps": source.recipe.steps,
        },
        files={"final.safetensors": save(state)},
    )
