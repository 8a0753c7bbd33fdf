"""The starter: a small network that predicts a latent from a code, where the solve of equation (3) then starts.

Its ends are fixed linear maps. The first whitens the codes, whose variances span orders of magnitude. The last stretches the
latent's directions by how little the code depends on them, so that an error in each costs about the same.
"""

from __future__ import annotations

import keras
import numpy as np

from .layers import PixelNorm
from .network import Network


@keras.utils.register_keras_serializable(package="gekeras")
class Starter(Network):
    """R: code `[n, code_size]` -> latent `[n, latent_size]`.

    Dense, then blocks x + dense(gelu(dense(norm(x)))), then dense; no norm has weights.

    Args:
        code_size, latent_size: k, d.
        width: of the blocks.
        blocks: how many.
        latent: what G's input is drawn from. "normal": the result has norm sqrt(d); "uniform": it lies in [-1, 1]^d.
    """

    def __init__(self, code_size=256, latent_size=256, width=256, blocks=3, latent="normal", name="starter", **kwargs):
        code = keras.Input((code_size,), name="code")
        x = keras.layers.Dense(code_size, trainable=False, dtype="float32", name="whiten")(code)
        x = keras.layers.Dense(width, name="first")(x)
        for k in range(blocks):
            hidden = keras.layers.Dense(width, activation="gelu", name=f"block_{k}_in")(PixelNorm(name=f"block_{k}_norm")(x))
            x = keras.layers.Add(name=f"block_{k}")([x, keras.layers.Dense(width, name=f"block_{k}_out")(hidden)])
        x = keras.layers.Dense(latent_size, name="last")(PixelNorm(name="last_norm")(x))
        x = keras.layers.Dense(latent_size, use_bias=False, trainable=False, dtype="float32", name="stretch")(x)
        end = PixelNorm if latent == "normal" else keras.layers.Activation
        arguments = {} if latent == "normal" else {"activation": "tanh"}
        start = end(name="latent", dtype="float32", **arguments)(x)
        config = dict(code_size=code_size, latent_size=latent_size, width=width, blocks=blocks, latent=latent)
        super().__init__(code, start, config, name=name, **kwargs)


def whitening(codes: np.ndarray, floor: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Kernel `[k, k]` and bias `[k]` of x -> (x - mean) V (ev + floor mean(ev))^-1/2, cov = V diag(ev) V^T.

    Args:
        codes: `[n, k]`.
        floor: what directions without variance are taken to have, over the mean variance.
    """
    values, vectors = np.linalg.eigh(np.cov(codes, rowvar=False).reshape(codes.shape[1], -1))
    kernel = vectors / np.sqrt(np.maximum(values, 0) + floor * values.mean() + 1e-12)
    return kernel.astype(np.float32), -(codes.mean(axis=0) @ kernel).astype(np.float32)


def stretching(curvature: np.ndarray, floor: float = 0.1) -> np.ndarray:
    """(H + floor mean(ev) I)^-1/2, symmetric, with entries of unit mean square a row: `[d, d]` -> `[d, d]`.

    Args:
        curvature: H = E[J^T J], J the Jacobian of the code with respect to the latent.
        floor: as in `whitening`; it bounds the stretch of directions that change nothing.
    """
    values, vectors = np.linalg.eigh(curvature)
    root = vectors * (np.maximum(values, 0) + floor * values.mean() + 1e-12) ** -0.5 @ vectors.T
    return (root * np.sqrt(len(root) / np.square(root).sum())).astype(np.float32)
