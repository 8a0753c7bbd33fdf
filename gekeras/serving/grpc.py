"""The way to a server by gRPC, with the stub of the package tensorflow-serving-api, which imports TensorFlow."""

from __future__ import annotations

import importlib.util

from ..messages import plain
from .calls import DENIED, ENCODED, LARGEST, LATE, MISSING, OTHER, REFUSED, UNAVAILABLE, Access, CallError, words_of

OPTIONS = {
    "grpc.max_receive_message_length": LARGEST,
    "grpc.max_send_message_length": LARGEST,
    "grpc.enable_retries": 0,  # the client counts its own
    "grpc.enable_http_proxy": 0,  # as REST
    "grpc.initial_reconnect_backoff_ms": 100,  # or another try would get the first one's fault for a second
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
}


def check_library() -> None:
    """Raise ValueError unless the package tensorflow-serving-api is installed."""
    if any(importlib.util.find_spec(name) is None for name in ("grpc", "tensorflow_serving")):
        raise ValueError(
            "gRPC needs the package tensorflow-serving-api, which is not here: pip install 'gekeras[serving]', or use REST"
        )


class GRPC:
    """Raises ValueError where the package is not installed, and as `Access.certificates`."""

    name = "gRPC"

    def __init__(self, access: Access):
        check_library()
        certificates = access.certificates()

        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        address, options = str(access.address), list(OPTIONS.items())
        if access.tls:
            self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(certificates), options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.metadata = [("x-api-key", access.key)] if access.key else []
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model: str, inputs: dict[str, list], seconds: float) -> dict[str, list]:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, ENCODED
        for name, values in inputs.items():
            kind = tf.string if name.endswith("_bytes") else tf.int32
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, kind, [len(values)]))
        answer = self._called(self.predictions.Predict, request, seconds)
        try:
            return {name: tf.make_ndarray(value).tolist() for name, value in answer.outputs.items()}
        except (TypeError, ValueError) as error:
            raise CallError(OTHER, f"an answer that holds no arrays ({plain(str(error))})") from error

    def serves(self, model: str, seconds: float) -> bool:
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            versions = self._called(self.models.GetModelStatus, request, seconds).model_version_status
        except CallError as error:
            if error.kind == MISSING:
                return False
            raise
        return any(version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE for version in versions)

    def close(self) -> None:
        self.channel.close()

    def _called(self, method, request, seconds: float):
        import grpc

        kinds = {
            grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
            grpc.StatusCode.INVALID_ARGUMENT: REFUSED,
            grpc.StatusCode.NOT_FOUND: MISSING,
            grpc.StatusCode.DEADLINE_EXCEEDED: LATE,
            grpc.StatusCode.UNAUTHENTICATED: DENIED,
            grpc.StatusCode.PERMISSION_DENIED: DENIED,
        }
        try:
            return method(request, timeout=seconds, metadata=self.metadata)
        except grpc.RpcError as error:
            code, text = error.code(), words_of(error.details() or "")
            kind = kinds.get(code, OTHER)
            raise CallError(kind, f"{code.name}: {text}" if kind == OTHER else text) from error
