"""Predictors of what an architecture would measure, from the architectures measured so far."""

import math
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR
from torch import Tensor
from torch.nn import functional as F

FOLDS = 5
RIDGE = np.linspace(0.1, 10.0, 10).tolist()
SVM = np.geomspace(1.0, 100.0, 10).tolist()


def one_hot(levels: Tensor, counts: Tensor) -> Tensor:
    """Return levels [N, d] as indicators [N, sum(counts)], `counts` [d] being the numbers of levels."""
    parts = [F.one_hot(column, int(count)) for column, count in zip(levels.T, counts, strict=True)]
    return torch.cat(parts, 1).double()


def fitted(levels: Tensor, measured: Tensor, counts: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what predicts `measured` [N] from levels [N, d]: ridge regression or a support vector machine.

    Both are chosen, and their one setting, by the mean absolute error of cross-validation in up to five folds; needs
    N >= 2. Measurements are scaled to tens, for which the machine's range of settings was made.
    """
    largest = float(measured.abs().max())
    scale = 10.0 ** (math.floor(math.log10(largest)) - 1) if largest > 0 else 1.0
    seen, wanted = one_hot(levels, counts).numpy(), (measured.double() / scale).numpy()
    folds = min(FOLDS, len(wanted))
    searches = [
        GridSearchCV(estimator, grid, cv=folds, scoring="neg_mean_absolute_error")
        for estimator, grid in (
            (Ridge(), {"alpha": RIDGE}),
            (SVR(kernel="rbf", gamma=1 / seen.shape[1], epsilon=0.0), {"C": SVM}),
        )
    ]
    chosen = max((search.fit(seen, wanted) for search in searches), key=lambda search: float(search.best_score_))

    def predict(unseen: Tensor) -> Tensor:
        return scale * torch.from_numpy(np.asarray(chosen.predict(one_hot(unseen, counts).numpy())))

    return predict
