import pytest
import torch
from torch import Tensor, nn

from benchmark.space import ChannelSpace, count
from benchmark.space.surgery.mask_and_cut import run

IMAGE = torch.zeros(1, 3, 8, 8)


class Rows(nn.Module):
    """A convolution whose places a recurrent layer, or a cell, reads one after the other."""

    def __init__(self, reader: nn.Module, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.reader = reader
        self.head = nn.Linear(width, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images).relu().flatten(2).transpose(1, 2)
        if not isinstance(self.reader, nn.RNNCellBase):
            return self.head(self.reader(x)[0].mean(1))
        state = None
        for place in x.unbind(1):
            state = self.reader(place, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


@pytest.mark.parametrize(
    ("reader", "width"),
    [
        (nn.LSTM(6, 4, batch_first=True), 4),
        (nn.LSTM(6, 4, 2, batch_first=True, bidirectional=True), 8),
        (nn.GRU(6, 4, bidirectional=True, batch_first=True), 8),
        (nn.RNN(6, 4, 3, batch_first=True), 4),
        (nn.LSTMCell(6, 4), 4),
        (nn.GRUCell(6, 4), 4),
        (nn.RNNCell(6, 4), 4),
    ],
    ids=str,
)
def test_states_are_units_one_for_all_layers_and_directions(reader: nn.Module, width: int) -> None:
    torch.manual_seed(0)
    model = Rows(reader, width).double().eval()
    space = ChannelSpace(model, IMAGE.double())
    # Whatever the number of layers and directions, they have one number of states.
    assert list(space.graph.groups.values()) == [6, 4] and space.graph.whole == {}
    mask = torch.tensor([True, False, True, True, True, False, True, False, True, True])
    small = space.extract(model, space.architecture(mask))
    cut = small.reader
    assert isinstance(cut, nn.RNNBase | nn.RNNCellBase) and (cut.input_size, cut.hidden_size) == (4, 3)
    images = torch.randn(2, 3, 8, 8).double()
    masked = run(model, space.gate(dict(model.named_parameters()), mask.double()), images)
    assert torch.allclose(small(images), masked, rtol=1e-10, atol=1e-12)
    assert count(small, IMAGE.double()) == (space.params(mask), space.macs(mask))


def test_projected_states_stay() -> None:
    # PyTorch tells by unequal widths that there is a projection.
    model = Rows(nn.LSTM(6, 4, 2, batch_first=True, proj_size=3), 3)
    found = ChannelSpace(model, IMAGE).graph
    assert found.groups == {"conv": 6}
    assert all("projections may not come to be equally many" in reason for reason in found.whole.values())
