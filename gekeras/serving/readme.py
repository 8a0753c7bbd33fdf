"""The `README.md` beside exported models: how the server is started, and what each model is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .layout import BATCHING, CONFIG, PLACE, TITLE

SERVER = "tensorflow/serving"
POLL = 60  # seconds

Record = Mapping[str, Any]

HEAD = """{title}

Written by `gekeras export PRESET --serving DIR` with TensorFlow {version}. TensorFlow Serving serves the highest version of
each model; a new export adds one, which a running server takes up by itself.

## Server

In this folder (8500 is gRPC's port, 8501 REST's):

    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD:{place}:ro" {server} \\
        --model_config_file={place}/{config} --model_config_file_poll_wait_seconds={poll} \\
        --enable_batching --batching_parameters_file={place}/{batching}

Without Docker the paths in `{config}` have to be those of this folder: the file says {place}. Each model comes with
warm-up requests, which the server runs before it reports the model as available:

    curl http://localhost:8501/v1/models/{first}

`{batching}` says how requests to one model are put together. Rows of a batch are independent, but a
batch takes as long as its row with the most steps, and a row that is refused takes those it was put together with along.

## Models

"""

PART = """### {model}

A part of the preset {preset}, as it is there. Every number is a float32, pictures are in [-1, 1].

{signatures}

    curl http://localhost:8501/v1/models/{model}/metadata

"""

SOLVER = """### {model}

Restores pictures: task {task} of preset {preset}, the whole solve.

| input | type | |
|---|---|---|
| `observation` | float32 {observation} | in [-1, 1]{blank} |{mask}
| `seed` | int32 [n] | {seed} |
| `steps` | int32 [n] | evaluations for z of each row, 0 to {most:,}; {steps} is the preset's own number |
{layer}
It gives `image` float32 {image} in [-1, 1], `latent` float32 [n, {latent}], `loss` float32 [n] and `steps` int32 [n], the
evaluations that were done{done}.
{encoded}
With gRPC, in Python (`pip install grpcio tensorflow-serving-api`):

    import grpc
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    channel = grpc.insecure_channel("localhost:8500")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "{model}"
{request}
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
{answer}

"""

ENCODED = """
The signature `encoded` takes and gives files: `image_bytes` string [n], a PNG or JPEG of {width}x{height},{mask}
and `seed` and `steps` as above; it gives `image_bytes`, a PNG of 8 bits, `loss` and `steps`. Damaged files, and those of
another size, are refused (INVALID_ARGUMENT). Orientation and color profiles in files are not applied. With REST, in bash:

    jq -n --rawfile image <(base64 -w0 picture.png){file} \\
        '{query}' |
        curl -s -d @- http://localhost:8501/v1/models/{model}:predict |
        jq -r '.outputs.image_bytes[0].b64' | base64 -d > restored.png
"""


def text(records: Mapping[str, Record], version: str) -> str:
    """The README of these models.

    Args:
        records: model -> what lies beside it as `gekeras.json`; {} for a model of somebody else's.
        version: of TensorFlow.
    """
    head = HEAD.format(
        title=TITLE,
        version=version,
        place=PLACE,
        server=SERVER,
        config=CONFIG,
        batching=BATCHING,
        poll=POLL,
        first=min(records),
    )
    return (head + "".join(_section(model, record) for model, record in sorted(records.items()))).rstrip() + "\n"


def _section(model: str, record: Record) -> str:
    if record.get("kind") == "solver":
        return _of_solver(model, record)
    if record.get("kind") == "part":
        return PART.format(model=model, preset=record["preset"], signatures=_of_part(record["signatures"]))
    return f"### {model}\n\nNot written by gekeras.\n\n"


def _of_part(signatures: Mapping[str, Any]) -> str:
    def side(specifications):
        return ", ".join(f"`{name}` {_shape(shape)}" for name, shape in specifications.items())

    return "\n".join(f"* `{name}`: {side(inside)} -> {side(outside)}" for name, (inside, outside) in signatures.items())


def _of_solver(model: str, record: Record) -> str:
    masked, (height, width, *_) = record["masked"], record["image"]
    layer = record["layer_steps"]
    return SOLVER.format(
        model=model,
        task=record["task"],
        preset=record["preset"],
        observation=_shape(["n", *record["observation"]]),
        image=_shape(["n", *record["image"]]),
        latent=record["latent_size"],
        blank="; any value where it is missing" if masked else "",
        mask=f"\n| `mask` | float32 [n, {height}, {width}, 1] | 1 where a pixel is known, 0 where it is missing |"
        if masked
        else "",
        seed="of the random starts" if record["seeded"] else "changes nothing: a starter says where to begin; give 0",
        most=record["most_steps"],
        steps=record["steps"],
        layer=f"\nAfter those for z come {layer} in a layer of the generator, whatever `steps` is.\n" if layer else "",
        done=", the layer's included" if layer else "",
        encoded=_of_files(model, record) if record["encoded"] else "",
        **_grpc(record),
    )


def _of_files(model: str, record: Record) -> str:
    height, width, _ = record["observation"]
    masked = record["masked"]
    inputs = ["image_bytes: [{b64: $image}]", *(["mask_bytes: [{b64: $mask}]"] if masked else [])]
    query = f'{{signature_name: "encoded", inputs: {{{", ".join(inputs)}, seed: [0], steps: [{record["steps"]}]}}}}'
    return ENCODED.format(
        width=width,
        height=height,
        mask="\n`mask_bytes` string [n], a PNG of that size, white where pixels are missing and black elsewhere,"
        if masked
        else "",
        file=" --rawfile mask <(base64 -w0 mask.png)" if masked else "",
        query=query,
        model=model,
    )


def _grpc(record: Record) -> dict[str, str]:
    """The lines of the call that depend on the model."""
    inputs = {"seed": "np.int32([0])", "steps": f"np.int32([{record['steps']}])"}
    if record["encoded"]:
        names = {"image_bytes": "picture.png", **({"mask_bytes": "mask.png"} if record["masked"] else {})}
        inputs = {**{name: f'[open({json.dumps(file)}, "rb").read()]' for name, file in names.items()}, **inputs}
        lines = ['request.model_spec.signature_name = "encoded"']
        answer = 'open("restored.png", "wb").write(answer.outputs["image_bytes"].string_val[0])'
    else:
        inputs = {"observation": f"np.zeros({[1, *record['observation']]}, np.float32)", **inputs}
        lines, answer = [], 'image = tf.make_ndarray(answer.outputs["image"])'
    lines += [f'request.inputs["{name}"].CopyFrom(tf.make_tensor_proto({value}))' for name, value in inputs.items()]
    return {"request": "\n".join(f"    {line}" for line in lines), "answer": f"    {answer}"}


def _shape(sides) -> str:
    return f"[{', '.join('?' if side is None else str(side) for side in sides)}]"
