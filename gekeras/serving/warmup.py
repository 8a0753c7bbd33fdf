"""Requests that TensorFlow Serving runs before it reports a model as ready, so that the first user does not wait.

Each signature gets one of one row: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .layout import EXTRA

FILE = "tf_serving_warmup_requests"

Inputs = Mapping[str, Any]


def write(folder: Path, model: str, requests: Mapping[str, Inputs]) -> None:
    """Write `folder/assets.extra/tf_serving_warmup_requests`.

    Args:
        folder: of a version of the model.
        requests: signature -> its inputs.
    """
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    path = folder / EXTRA / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=model, signature_name=signature))
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            file.write(log.SerializeToString())


def blank(specifications: Mapping[str, tf.TensorSpec]) -> dict[str, np.ndarray]:
    """One row of any numbers for a signature of floats."""
    shapes = {name: [1, *(side or 1 for side in spec.shape[1:])] for name, spec in specifications.items()}
    return {name: np.full(shape, 0.5, specifications[name].dtype.as_numpy_dtype) for name, shape in shapes.items()}


def of_solver(shape: tuple[int, ...], picture: tuple[int, int, int], masked: bool, encoded: bool) -> dict[str, Inputs]:
    """signature -> inputs: one step of a gray picture, the upper half of which is known.

    Args:
        shape: of a measurement.
        picture: (h, w, c) of a restored one.
    """
    rows = {"seed": np.zeros(1, np.int32), "steps": np.ones(1, np.int32)}
    known = np.ones((1, *picture[:2], 1), np.float32)
    known[:, picture[0] // 2 :] = 0
    arrays = {"observation": np.zeros((1, *shape), np.float32), **({"mask": known} if masked else {}), **rows}
    if not encoded:
        return {"serving_default": arrays}
    files = {"image_bytes": _png(np.full(shape, 128, np.uint8)), **rows}
    if masked:
        files["mask_bytes"] = _png((255 * (1 - known[0])).astype(np.uint8))
    return {"serving_default": arrays, "encoded": files}


def _png(levels: np.ndarray) -> np.ndarray:
    return np.array([tf.io.encode_png(levels).numpy()], object)
