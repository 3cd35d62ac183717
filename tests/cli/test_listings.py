import subprocess
import sys

from benchmark.cli import listings
from benchmark.models import model_class, model_names
from benchmark.pruning.registry import pruners


def test_methods_are_listed_as_their_classes_say() -> None:
    assert listings.methods() == {
        name: (kind.granularities, listings.summary(kind.__doc__)) for name, kind in pruners().items()
    }


def test_own_models_are_listed_as_their_classes_say() -> None:
    assert listings.own_models() == {name: listings.summary(model_class(name).__doc__) for name in model_names()}


def test_a_summary_is_the_first_paragraph_in_one_line() -> None:
    assert listings.summary("One\n    idea.\n\n    More of it.\n    ") == "One idea."
    assert listings.summary(None) == ""


def test_lists_are_made_without_torch() -> None:
    lines = "import sys; from benchmark.cli import listings; listings.methods(); listings.own_models()"
    subprocess.run([sys.executable, "-c", f"{lines}; assert 'torch' not in sys.modules"], check=True)
