"""More networks to count by hand, for one image [1, 4, 4]; `hidden` layers give every network a group."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention with one layer for queries, keys and values, as image transformers have it."""

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = num_heads, head_dim, num_heads * head_dim
        self.qkv = nn.Linear(dim, 3 * self.attn_dim, bias=False)
        self.proj = nn.Linear(self.attn_dim, dim)

    def bias(self) -> Tensor | float:
        return 0.0

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(count, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) + self.bias()
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(count, tokens, self.attn_dim))


class BiasedAttention(Attention):
    """Adds to the scores an entry of a table per head and offset between two tokens (of four in a row)."""

    index: Tensor

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__(dim, num_heads, head_dim)
        self.table = nn.Parameter(torch.randn(7, num_heads))
        place = torch.arange(4)
        self.register_buffer("index", place[:, None] - place[None] + 3, persistent=False)

    def bias(self) -> Tensor:
        return self.table[self.index.view(-1)].view(4, 4, -1).permute(2, 0, 1)


class Transformer(nn.Module):
    """Four tokens of five channels, and attention beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 5, 2, stride=2)
        self.attn: nn.Module = Attention(5, 3, 2)
        self.head = nn.Linear(5, 2)

    def tokens(self, x: Tensor) -> Tensor:
        return self.embed(x).flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x)
        return self.head((x + self.attn(x)).mean(1))


class RelativeBias(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.attn = BiasedAttention(5, 3, 2)


class ClassToken(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 5))
        self.places = nn.Parameter(torch.randn(1, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.tokens(x)], 1) + self.places
        return self.head((x + self.attn(x))[:, 0])


class SeparateLayers(nn.Module):
    """Attention whose queries, keys and values come from layers of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 2
        self.q = nn.Linear(5, 6)
        self.k = nn.Linear(5, 6)
        self.v = nn.Linear(5, 8)
        self.out = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class SeparateAttention(Transformer):
    def __init__(self) -> None:
        super().__init__()
        self.attn = SeparateLayers()


class LibraryAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 6, 2, stride=2)
        self.attn = nn.MultiheadAttention(6, 3, batch_first=True)
        self.hidden = nn.Linear(6, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.attn(x, x, x, need_weights=False)[0]
        return self.head(self.hidden(x.mean(1)).relu())


class GatedUnit(nn.Module):
    """Half of a layer's outputs gate the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Linear(16, 6)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.both(x.flatten(1)).chunk(2, -1)
        return self.head(value * F.silu(gate))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.reduce = nn.Conv2d(4, 2, 1)
        self.expand = nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x * self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head(x.mean((2, 3)))


class GroupedInFour(nn.Module):
    """Two inputs and three outputs in each of four groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 1)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4)
        self.head = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.grouped(self.stem(x).relu()).relu().mean((2, 3)))


class DepthwiseMultiplied(nn.Module):
    """Every channel makes two."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        self.spatial = nn.Conv2d(3, 6, 3, padding=1, groups=3)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.spatial(self.stem(x))).relu().mean((2, 3)))


class GroupNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.GroupNorm(3, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.stem(x)).relu().mean((2, 3)))


class Hidden(nn.Module):
    """Four channels, something done to them, a hidden layer of three units, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.hidden = nn.Linear(4, 3)
        self.head = nn.Linear(3, 2)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.between(self.stem(x)).mean((2, 3))).relu())


class LayerNormed(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def between(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Shuffled(Hidden):
    def between(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        return x.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(x.shape)


class MeanOverChannels(Hidden):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)


class Fourier(Hidden):
    """An operator that nobody wrote a rule for."""

    def between(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x).real


class FixedReshape(Hidden):
    def between(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 4, 16).tanh().unflatten(2, (4, 4))


class StandardisedConvolution(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Standardised(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.second = StandardisedConvolution(4, 4, 3, padding=1)

    def between(self, x: Tensor) -> Tensor:
        return self.second(x.relu())


class LayerScaled(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv2d(4, 4, 1)
        self.gamma = nn.Parameter(torch.randn(4, 1, 1))

    def between(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.branch(x.relu())


class ParametricRelu(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.PReLU(4)
        self.same = nn.PReLU()

    def between(self, x: Tensor) -> Tensor:
        return self.same(self.act(x) - 1)


class PartialSum(Hidden):
    """A layer's two channels are added to the first two of four, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, x = self.side(x), self.stem(x)
        x[:, : y.shape[1]] += y
        return self.head(self.hidden(x.mean((2, 3))).relu())


class PaddedChannels(Hidden):
    """A shortcut without weights: the four channels with a zero before and behind, added to six others."""

    def __init__(self) -> None:
        super().__init__()
        self.wider = nn.Conv2d(4, 6, 1)
        self.hidden = nn.Linear(6, 3)

    def between(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 1, 1)) + self.wider(x.relu())


class Dense(nn.Module):
    """Every layer reads all that were made before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        self.first = nn.Conv2d(3, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 2, 1)
        self.head = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.first(x.relu())], 1)
        return self.head(torch.cat([x, self.second(self.norm(x).relu())], 1).mean((2, 3)))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 2, stride=2)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.down(x).relu()).relu().mean((2, 3)))


class Mixer(nn.Module):
    """A hidden layer over the four tokens, the same for all channels, and one over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 5, 2, stride=2)
        self.tokens = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 4))
        self.channels = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 5))
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(x)).mean(1))


class TiedEmbedding(nn.Module):
    """The table that the words come from scores the words at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(6, 4)
        self.inner = nn.Linear(4, 3)
        self.outer = nn.Linear(3, 4)
        self.scores = nn.Linear(4, 6, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.words((3 * x).long().clamp(0, 5).flatten(1))
        return self.scores((x + self.outer(self.inner(x).relu())).mean(1))


class LinearLayers(nn.Sequential):
    def __init__(self) -> None:
        hidden = [nn.Linear(16, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4), nn.Sigmoid()]
        super().__init__(nn.Flatten(), *hidden, nn.Linear(4, 2))


class OneDimensional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 3, 3, padding=1)
        self.second = nn.Conv1d(3, 5, 1)
        self.norm = nn.InstanceNorm1d(5, affine=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.second(self.first(x.flatten(1, 2)).relu())).relu().mean(2))


class TwoOutputs(nn.Module):
    """Returns the classes and, beside them, the features; those are outputs too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.features = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.stem(x).relu()).mean((2, 3))
        return self.head(features), features


class TiedLayers(nn.Module):
    """The last hidden layer is the first one backwards, with the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(16, 4)
        self.weight = nn.Parameter(torch.randn(3, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.linear(F.linear(self.stem(x.flatten(1)), self.weight).relu(), self.weight.t()).relu())


COUPLED: dict[str, type[nn.Module]] = {
    network.__name__: network
    for network in (
        *(Transformer, RelativeBias, ClassToken, SeparateAttention, LibraryAttention, GatedUnit, SqueezeExcite),
        *(GroupedInFour, DepthwiseMultiplied, GroupNormed, LayerNormed, Shuffled, MeanOverChannels),
        *(Fourier, FixedReshape, Standardised, LayerScaled, ParametricRelu, PartialSum),
        *(PaddedChannels, Dense, Transposed, Mixer, TiedEmbedding, LinearLayers, OneDimensional, TwoOutputs),
        TiedLayers,
    )
}
