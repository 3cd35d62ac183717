"""The handwritten digits that come with scikit-learn: real images, nothing to download."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.data.base import Places, Stored
from benchmark.data.fixed import PlainDataset


class Digits(PlainDataset):
    """1,797 grey images of 8 x 8 pixels, ten classes of 174 to 183 images.

    A pixel counts the ink in a block of 4 x 4 (0 to 16); it becomes round(v * 255 / 16), halves rounded up.
    """

    name: ClassVar[str] = "digits"
    count: ClassVar[int] = 10

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Read the file inside scikit-learn."""
        import sklearn
        from sklearn.datasets import load_digits

        bundle = load_digits()
        images = ((bundle.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)

        def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
            yield from images[rows]

        return Stored(
            labels=bundle.target.astype(np.int64),
            classes=tuple(str(name) for name in bundle.target_names),
            read=read,
            licence="CC BY 4.0",
            citation="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository, 1998, doi:10.24432/C50P49 (its test part)",
            source=f"scikit-learn {sklearn.__version__} load_digits",
        )
