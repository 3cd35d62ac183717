"""The classifier of a large model: where it is, and another one in its place."""

from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.initialisation import initialise_layer
from benchmark.models.output_layers import output_layers, some_image
from benchmark.seeds import derive

Head = nn.Linear | nn.Conv2d
REMEDY = "use a model that ends in a linear layer or a 1x1 convolution with one output per class"


def head_names(module: nn.Module, image: Tensor | None = None) -> tuple[str, ...]:
    """Return the names of the layers that give the logits: one, or several where a model has several classifiers.

    timm's models say which they are. Of all others they are the linear layers or 1x1 convolutions whose output is the
    network's output, however pooled or reshaped; one run finds them, on the first of `image` [N, C, H, W] or, where
    none is given, on a black image of a size that the network takes. Raises `BenchError` for a network that does not
    run, and where the output comes from anything else.
    """
    return _stated(module) or _traced(module, _example(module, image))


def freeze_body(module: nn.Module, image: Tensor | None = None) -> dict[str, nn.Parameter]:
    """Leave nothing to be trained but the classifier; returns its parameters. In eval mode nothing else moves then.

    `image` is that of `head_names`.
    """
    heads = tuple(f"{name}." for name in head_names(module, image))
    parameters = dict(module.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name.startswith(heads))
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}


def replace_head(module: nn.Module, classes: int, seed: int, image: Tensor | None = None) -> None:
    """Put a freshly drawn classifier for `classes` classes in the place of the old one (of each, if several).

    `image` is that of `head_names`. Raises `BenchError`, and leaves the old ones, where the network would then give
    anything but `classes` logits.
    """
    image = some_image(module) if image is None else image[:1]
    old = {name: module.get_submodule(name) for name in head_names(module, image)}
    try:
        for name, layer in old.items():
            new = _like(layer, classes)
            initialise_layer(new, name, derive(seed, "replace head"))
            _put(module, name, new)
        if image is not None:
            _check(module, image, classes)
    except BenchError:
        for name, layer in old.items():
            _put(module, name, layer)
        raise


def _put(module: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one of this name, under all of its names."""
    old = module.get_submodule(name)
    for other in [one for one, known in module.named_modules(remove_duplicate=False) if known is old]:
        parent, _, leaf = other.rpartition(".")
        setattr(module.get_submodule(parent), leaf, layer)


def _stated(module: nn.Module) -> tuple[str, ...]:
    """The classifiers that a timm model's configuration names, as far as they are there."""
    configuration = getattr(module, "pretrained_cfg", None)
    named = configuration.get("classifier") if isinstance(configuration, dict) else None
    names = (named,) if isinstance(named, str) else tuple(named or ())
    # Some distilled models name only the first of their two classifiers.
    every = dict.fromkeys(twin for name in names for twin in (name, name.replace("head", "head_dist", 1)))
    layers = dict(module.named_modules())
    return tuple(name for name in every if isinstance(layers.get(name), Head))


def _example(module: nn.Module, image: Tensor | None) -> Tensor:
    found = some_image(module) if image is None else image[:1]
    if found is None:
        raise BenchError(
            f"{type(module).__name__}: runs on no black image of a usual size, so its classifier cannot be found; "
            "give an image that it takes"
        )
    return found


def _traced(module: nn.Module, image: Tensor) -> tuple[str, ...]:
    name = type(module).__name__
    try:
        output, layers = output_layers(module, image)
    except Exception as error:
        raise BenchError(f"{name}: {_cannot_run(image, error)}, so its classifier cannot be found") from error
    if not isinstance(output, Tensor) or output.ndim != 2:
        given = f"of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"of type {type(output).__name__}"
        raise BenchError(f"{name}: its output is {given}, expected logits [images, classes]; {REMEDY}")
    classes = output.shape[1]
    layers += [one for one in _training_layers(module, image, output) if one not in layers]
    heads = tuple(one for one in layers if _width(module.get_submodule(one)) == classes)
    if not heads:
        found = ", ".join(f"{one or 'the network itself'} ({_kind(module, one)})" for one in layers) or "no layer"
        raise BenchError(
            f"{name}: has no linear layer that could be its classifier, for its {classes} logits come from {found}; "
            f"{REMEDY}"
        )
    return heads


def _training_layers(module: nn.Module, image: Tensor, output: Tensor) -> list[str]:
    """The layers that the output comes from in training, where a network may add to it; none if it gives another one.

    One that does not train on such images does not say what it adds.
    """
    try:
        trained, layers = output_layers(module, image.repeat(2, *[1] * (image.ndim - 1)), training=True)
    except Exception:
        return []
    same = isinstance(trained, Tensor) and trained.shape == (2 * len(output), *output.shape[1:])
    return layers if same else []


def _width(layer: nn.Module) -> int | None:
    """The number of outputs of what can be replaced as a classifier; a layer with a forward of its own cannot."""
    if isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward:
        return layer.out_features
    if isinstance(layer, nn.Conv2d) and type(layer).forward is nn.Conv2d.forward and layer.kernel_size == (1, 1):
        return layer.out_channels
    return None


def _kind(module: nn.Module, name: str) -> str:
    layer = module.get_submodule(name)
    width = getattr(layer, "out_features", getattr(layer, "out_channels", None))
    return type(layer).__name__ if width is None else f"{type(layer).__name__} with {width} outputs"


def _check(module: nn.Module, image: Tensor, classes: int) -> None:
    name = type(module).__name__
    try:
        output, _ = output_layers(module, image)
    except Exception as error:
        raise BenchError(
            f"{name}: with a classifier of {classes} classes {_cannot_run(image, error)}; {REMEDY}"
        ) from error
    if not isinstance(output, Tensor) or output.shape != (len(image), classes):
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BenchError(
            f"{name}: with a classifier of {classes} classes it gives {given}, expected "
            f"({len(image)}, {classes}); {REMEDY}"
        )


def _cannot_run(image: Tensor, error: Exception) -> str:
    fault = " ".join(f"{type(error).__name__}: {error}".split())
    return f"it cannot run on images [{', '.join(map(str, image.shape[1:]))}] ({fault})"


def _like(old: nn.Module, classes: int) -> Head:
    if isinstance(old, nn.Linear):
        place = {"device": old.weight.device, "dtype": old.weight.dtype}
        return nn.Linear(old.in_features, classes, bias=old.bias is not None, **place)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(old.in_channels, classes, 1, bias=old.bias is not None)
    return new.to(old.weight.device, old.weight.dtype)
