"""The measure `nearest`: the class whose mean is nearest. Nothing is trained."""

from torch import Tensor


def nearest_class_mean(support: Tensor, query: Tensor) -> Tensor:
    """Return the class of every query in every episode, int64 [E, Q].

    `support` [E, W, K, D] are the features of K examples of each of W classes in E episodes, `query` [Q, D] those to be
    classified, the same in all episodes. The nearest mean is that of the smallest Euclidean distance; of equally near
    ones the first (Snell et al. 2017, Prototypical Networks, arXiv 1703.05175).
    """
    return distances(support, query).argmin(-1)


def distances(support: Tensor, query: Tensor) -> Tensor:
    """Return the squared distance of every query from the mean of every class, [E, Q, W], less the query's square.

    That is the same for all classes.
    """
    means = support.mean(2)
    return (means**2).sum(-1)[:, None] - 2 * query @ means.transpose(1, 2)
