"""Load on a served solver: `gekeras.serving.Client`s that ask at once and again, each reply held against its own picture.

    python benchmarks/served_load.py --preset faces-64 --task superres --clients 8 --seconds 60

It exports the solver and runs its signature `encoded` behind a PredictionService on 127.0.0.1 in a process of its own, which
solves each request as it comes, as TensorFlow Serving without batching. A reply must be the bytes that the same signature
gives when it is asked alone.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from PIL import Image
from service_load import Tally, held_under, pictures, png, resident, show

from gekeras.networks import presets
from gekeras.serving import Client, ServerError, export, layout
from gekeras.serving.calls import ENCODED

WORKERS = 8  # of the server: requests that are solved side by side
DEADLINE = 300.0  # seconds


def serve(folder: Path) -> None:
    """Run the model's signature until the process is told to end; prints the port."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # of all threads to come: `sigwait` takes it
    run = tf.saved_model.load(str(folder)).signatures[ENCODED]

    class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            try:
                outputs = run(**{name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()})
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return answer

    server = grpc.server(ThreadPoolExecutor(WORKERS))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    signal.sigwait({signal.SIGTERM})
    server.stop(10).wait()


def levels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def client(k: int, served: Client, task: str, body: bytes, expected: list[bytes], end: float, tally: Tally) -> None:
    levels = [levels_of(data) for data in expected]
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            (reply,) = served.solve(task, [body])
        except ServerError as error:
            tally.lost.append(str(error))
            continue
        tally.seconds.append(time.monotonic() - begin)
        tally.batches.append(1)
        apart = [np.abs(levels_of(reply.image_bytes) - other).mean() for other in levels]
        tally.mixed += int(np.argmin(apart)) != k
        tally.differences.append(apart.pop(k))
        tally.others.append(min(apart))


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--models", type=click.Path(path_type=Path))
@click.option("--task", default="superres", show_default=True, help="One without a mask.")
@click.option("--clients", default=8, show_default=True)
@click.option("--seconds", default=60, show_default=True)
@click.option("--serve", "served", type=click.Path(path_type=Path), hidden=True)
def main(preset, models, task, clients, seconds, served):
    if served:
        return serve(served)
    loaded = presets.load(preset, models)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "models"
        export.export(loaded, folder, (task,))
        model = folder / layout.solver_name(loaded, task) / "1"
        process = subprocess.Popen([sys.executable, __file__, "--serve", model], stdout=subprocess.PIPE, text=True)
        try:
            ask(process, loaded, task, clients, seconds)
        finally:
            process.kill()


def ask(process: subprocess.Popen, preset, task: str, clients: int, seconds: int) -> None:
    address = f"127.0.0.1:{int(process.stdout.readline())}"
    side = preset.resolution // preset.task_parameters(task).get("factor", 1)
    bodies = [png(levels) for levels in pictures(clients, (side, side, preset.channels))]
    with Client(address, preset=preset.name, deadline=DEADLINE, batch=1) as served:
        expected = [reply.image_bytes for reply in served.solve(task, bodies)]  # one after another
        tally, held = Tally(), [resident(process.pid)]
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=client, args=(k, served, task, body, expected, end, tally))
            for k, body in enumerate(bodies)
        ]
        held += held_under(threads, process.pid, seconds)
    process.send_signal(signal.SIGTERM)
    show(tally, held, f"{clients} clients, {seconds} s", seconds, process.wait(120))


if __name__ == "__main__":
    main()
