"""Whether an operator's adjoint is its adjoint: for authors of operators of their own."""

from __future__ import annotations

import tensorflow as tf

from .base import Operator, dot


def check_adjoint(operator: Operator, shape: tuple[int, int, int], *, seed: int = 0, tolerance: float = 1e-5) -> float:
    """How far <A x, y> and <x, A^T y> are apart, over ||A x|| ||y||, for random x and y.

    Args:
        operator: A, linear.
        shape: (h, w, c) of the pictures it takes.
        seed: of x and y, each a pair of pictures or measurements drawn from N(0, 1).
        tolerance: what rounding is allowed; float32 leaves some 1e-7.

    Returns:
        The larger one of the two pictures' deviations.

    Raises:
        ValueError: it is above the tolerance, or A^T y has not the shape of x.
        TypeError: the operator is not linear.

    Example:
        >>> from gekeras.operators import Downsample
        >>> check_adjoint(Downsample(2), (8, 8, 3)) < 1e-6
        True
        >>> class Wrong(Downsample):
        ...     def adjoint(self, measurement):
        ...         return 4 * super().adjoint(measurement)
        >>> check_adjoint(Wrong(2), (8, 8, 3))
        Traceback (most recent call last):
        ValueError: the adjoint of Wrong is none: <A x, y> and <x, A^T y> differ by ... of ||A x|| ||y||
    """
    name = type(operator).__name__
    x = tf.random.stateless_normal((2, *shape), (seed, 0))
    image = operator(x)
    y = tf.random.stateless_normal(tf.shape(image), (seed, 1), dtype=image.dtype)
    back = operator.adjoint(y)
    if back.shape != x.shape:
        raise ValueError(f"the adjoint of {name} gives {list(back.shape[1:])} for pictures of {list(shape)}")
    scale = tf.sqrt(dot(image, image) * dot(y, y))
    deviation = float(tf.reduce_max(tf.math.divide_no_nan(tf.abs(dot(image, y) - dot(x, back)), scale)))
    if not deviation <= tolerance:  # NaN, too
        raise ValueError(
            f"the adjoint of {name} is none: <A x, y> and <x, A^T y> differ by {deviation:.3g} of ||A x|| ||y||"
        )
    return deviation
