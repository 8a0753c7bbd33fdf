"""A training process for tests/test_distribute.py, which starts it: tiny networks, as many logical CPUs as it is told.

    python distributed_worker.py wgan-gp|nonsaturating|autoencoder RUN PICTURES DEVICES [SECONDS_A_STEP]

With TF_CONFIG it is one of several workers, each with one CPU.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import data
from gekeras.config import Stage
from gekeras.operators import make_task
from gekeras.training import autoencoder, distribute, gan
from gekeras.training.run import Limits, Run

# Eight steps: three at 4 px, three in the fade of 8 px, two after it; R1 in every other one.
GROWING = dataclasses.replace(GAN, resolution=8, stages=(Stage(4, 0, 24), Stage(8, 24, 16)), r1_every=2)
SHORT = dataclasses.replace(AUTOENCODER, images=40, validate_every=16)


def generator(latent):
    """A stand-in for G: sixteen latent numbers become a 16x16 picture of 4x4 blocks."""
    gray = tf.reshape(tf.tanh(latent), (-1, 4, 4, 1))
    return tf.repeat(tf.repeat(tf.repeat(gray, 4, axis=1), 4, axis=2), 3, axis=3)


def losses_printed(step):
    def printing(self, seen, count, state, **losses):
        if self.role.chief:
            print(seen, *(float(value) for name, value in losses.items() if name != "validation"), flush=True)
        return step(self, seen, count, state, **losses)

    return printing


def slowed(take, seconds):
    def slowly(self, stream):
        time.sleep(seconds)
        return take(self, stream)

    return slowly


def main(kind, folder, pictures, devices, seconds="0"):
    cpus = [f"CPU:{i}" for i in range(int(devices))]
    settings = [tf.config.LogicalDeviceConfiguration() for _ in cpus]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], settings)
    Run.step, Run.take = losses_printed(Run.step), slowed(Run.take, float(seconds))
    items = data.entries(pictures)
    with distribute.restarting():
        name = "multiworker" if "TF_CONFIG" in os.environ else "mirrored" if len(cpus) > 1 else "none"
        strategy = distribute.strategy_for(name, cpus, patience=300)
        extra = dict(strategy=strategy, limits=Limits(save_every=4 * float(seconds) or 120.0))
        if kind == "autoencoder":
            sources = [data.Source(part, SIDE, memory=True) for part in (items[:-4], items[-4:])]
            autoencoder.train(SHORT, make_task("denoise"), *sources, generator, GAN.latent_size, Path(folder), **extra)
        else:
            gan.train(dataclasses.replace(GROWING, loss=kind), items, Path(folder), memory=True, **extra)


if __name__ == "__main__":
    main(*sys.argv[1:])
