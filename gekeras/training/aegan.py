"""Training of the AEGAN baseline (section 4.5 c): encoder, generator and discriminator together, by equation (6),

    min over G, E, max over D of  ||x - G(E(x))||^2 + E_x log D(x) + E_z log(1 - D(G(z))),

with a KL term that keeps the codes at N(0, I), so that E gives the mean and the log variance of a code. The minimax is
taken in its usual non-saturating form: D descends E softplus(D(G(z))) + E softplus(-D(x)) plus the lazy R1 penalty, G
descends E softplus(-D(G(z))). It starts from the networks of a GAN run and trains all of them on, at full resolution, on one
device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, plots
from ..config import AEGANOptions, GANOptions, Limits
from ..models.autoencoder import BLOCKS, Encoder
from ..models.pgan import Discriminator, Generator, copy_weights
from ..models.precision import building_in, training_policy
from . import checkpoints, distribute, gan, losses, optimizers, schedule, validation
from .run import USUAL, Run

NONSATURATING = GANOptions(loss="nonsaturating")  # `losses` reads no more of it than its loss
MARK = "aegan"  # the record's key by which its runs are known
SHAPE = ("resolution", "channels", "latent_size", "fmap_base", "fmap_max", "bilinear_from")
OF_GENERATOR = ("latent_size", "bilinear_from")  # of these, what the discriminator has not
NETWORKS = ("generator", "average", "discriminator", "encoder", "encoder_average")
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer", "encoder_optimizer")


class Networks:
    """Generator, discriminator and encoder, the moving averages of G and E, and three optimizers.

    Args:
        shape: the generator's arguments named in `SHAPE`; the discriminator and the encoder follow from them.
    """

    def __init__(self, options: AEGANOptions, shape: dict[str, int]):
        self.options, self.shape = options, dict(shape)
        keras.utils.set_random_seed(options.seed)
        resolution, channels, latent_size = shape["resolution"], shape["channels"], shape["latent_size"]
        blocks = min(BLOCKS, resolution.bit_length() - 1)
        coder = dict(resolution=resolution, channels=channels, width=options.width, code_size=2 * latent_size, blocks=blocks)
        with building_in(training_policy(options.mixed_precision)):
            self.generator, self.average = Generator(**shape), Generator(**shape)
            self.discriminator = Discriminator(**{k: v for k, v in shape.items() if k not in OF_GENERATOR})
            self.encoder, self.encoder_average = Encoder(**coder), Encoder(**coder)
        copy_weights(self.generator, self.average)
        copy_weights(self.encoder, self.encoder_average)
        adam = (options.learning_rate, options.beta_1, options.beta_2, optimizers.EPSILON)
        self.generator_optimizer = optimizers.adam(self.generator.trainable_variables, *adam)
        self.discriminator_optimizer = optimizers.adam(self.discriminator.trainable_variables, *adam)
        self.encoder_optimizer = optimizers.adam(
            self.encoder.trainable_variables, options.encoder_learning_rate, epsilon=optimizers.EPSILON
        )

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """G(E(x)) of the averaged networks, at the mean of the code."""
        mean, _ = split(self.encoder_average(x, training=False))
        return self.average(mean, training=False)

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        return checkpoints.arrays_of(self, NETWORKS, OPTIMIZERS)

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`."""
        checkpoints.restore(self, arrays, NETWORKS, OPTIMIZERS)

    def start_from(self, arrays: checkpoints.Arrays) -> None:
        """Take generator, average and discriminator of a GAN run; layers that only its fade needs are left out."""
        checkpoints.restore(self, arrays, gan.NETWORKS)


# ------------------------------------------------------------------------------------------------------ the loss


def split(code: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The encoder's output `[n, 2 h]` -> mean and log variance, `[n, h]` each."""
    mean, log_variance = tf.split(code, 2, axis=-1)
    return mean, log_variance


def sample(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """mean + sigma noise: a draw from N(mean, sigma^2) that passes gradients; all `[n, h]`, noise ~ N(0, I)."""
    return mean + tf.exp(0.5 * log_variance) * noise


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, sigma^2) || N(0, 1)) = (mean^2 + sigma^2 - 1 - log sigma^2) / 2, the mean over batch and dimensions."""
    return 0.5 * tf.reduce_mean(tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)


def make_step(nets: Networks):
    """Compiled `step(real, latent, noise, decay, penalize) -> dict of losses d, g, mse, kl`.

    The reconstructions G(E(x)) and the samples G(z) are one batch of G; D sees the samples alone, as equation (6) has it.
    One discriminator update, then one update of G and E together. `latent` and `noise` are N(0, I) `[n, h]`; `penalize`, a
    Python bool, adds R1, weighted by how often it is skipped.

    G normalizes its latent, so a code's length is free to it: how precise a code is lies in mean / sigma, and the KL term
    sets both the price of that and the length.
    """
    options, g, d, e = nets.options, nets.generator, nets.discriminator, nets.encoder
    strategy = tf.distribute.get_strategy()

    @tf.function
    def step(real, latent, noise, decay, penalize: bool):
        with tf.GradientTape() as tape:
            mean, log_variance = split(e(real, training=True))
            latents = tf.concat([sample(mean, log_variance, noise), latent], axis=0)
            reconstructed, fake = tf.split(g(latents, training=True), 2)
            d_loss = _update_discriminator(nets, real, tf.stop_gradient(fake), penalize)
            g_loss = losses.generator_loss(NONSATURATING, d(fake, training=True))
            error, kl = tf.reduce_mean(tf.square(reconstructed - real)), kl_divergence(mean, log_variance)
            loss = g_loss + options.reconstruction_weight * error + options.kl_weight * kl
        of_g, of_e = tape.gradient(loss, [g.trainable_variables, e.trainable_variables])
        nets.generator_optimizer.apply_gradients(zip(of_g, g.trainable_variables))
        nets.encoder_optimizer.apply_gradients(zip(of_e, e.trainable_variables))
        distribute.move_average(strategy, nets.average, g, decay)
        distribute.move_average(strategy, nets.encoder_average, e, decay)
        return dict(d=d_loss, g=g_loss, mse=error, kl=kl)

    return step


def _update_discriminator(nets: Networks, real: tf.Tensor, fake: tf.Tensor, penalize: bool) -> tf.Tensor:
    """One step of D; returns its loss without the penalty."""
    d = nets.discriminator
    with tf.GradientTape() as tape:
        loss = total = losses.discriminator_loss(NONSATURATING, d(real, training=True), d(fake, training=True))
        if penalize:
            weight = nets.options.r1_every * losses.r1_weight(nets.shape["resolution"], real.shape[0])
            total += weight * losses.r1_penalty(d, real)
    optimizers.apply(nets.discriminator_optimizer, tape.gradient(total, d.trainable_variables), d.trainable_variables)
    return loss


# ------------------------------------------------------------------------------------------------------ the run


def train(
    options: AEGANOptions,
    source: data.Source,
    held_out: data.Source,
    gan_run: Path,
    folder: Path,
    *,
    limits: Limits = USUAL,
) -> validation.Curve:
    """Train from the newest checkpoint of `folder`, or from the networks of the GAN in `gan_run`.

    Args:
        source, held_out: real images to train on, and for the validation curve, of the GAN's size.
        gan_run: run folder of the GAN.
        folder: run folder, see `run.Run`.
        limits: time limit, checkpoints and messages, see `config.Limits`.

    Returns:
        The validation curve: (real images shown, MSE of G(E(x)) against x on [-1, 1], held-out pictures).

    Raises:
        ValueError: `gan_run` is not a GAN's or has not grown to full size, `folder` holds another kind of run or an AEGAN
            of other sizes, or the pictures are not of the GAN's size.
    """
    nets, seen, curve = _resume(options, gan_run, folder)
    truth = validation.pictures(held_out)
    expected = (nets.shape["resolution"], nets.shape["resolution"], nets.shape["channels"])
    if truth.shape[1:] != expected:
        raise ValueError(f"the GAN makes pictures of {list(expected)}; received {list(truth.shape[1:])}")
    step = make_step(nets)

    def measure():
        return validate(nets, truth)

    def write():
        _save(nets, seen, curve, truth, run)

    with Run(folder, config.to_json(options), options.images, limits=limits) as run:
        views = dict(mirror=options.mirror, turn=options.turn)
        stream = data.stream(source, options.batch_size, seed=options.seed, start=seen, **views)
        while run.goes_on(seen):
            values = step(run.take(stream), *_inputs(options, seen, nets.shape["latent_size"]))
            before, seen = seen, seen + options.batch_size
            run.step(seen, options.batch_size, {}, **values, validation=validation.last(curve))
            if validation.due(before, seen, options.validate_every):
                validation.add_point(curve, seen, measure)
            if run.save_due():
                run.save(write, seen)
        validation.add_point(curve, seen, measure)
        run.finish(write, seen)
    return curve


def _inputs(options: AEGANOptions, seen: int, latent_size: int):
    """latent, noise, decay and penalize of the step after `seen` images: functions of it, so that a run can be resumed."""
    shape, count = (options.batch_size, latent_size), seen // options.batch_size
    latent = tf.random.stateless_normal(shape, seed=(options.seed, seen))
    noise = tf.random.stateless_normal(shape, seed=(options.seed + 1, seen))
    return latent, noise, tf.constant(schedule.average_decay(count, options)), count % options.r1_every == 0


def validate(nets: Networks, held_out: np.ndarray, chunk: int = 64) -> float:
    """MSE of G(E(x)) against x, on [-1, 1]."""
    return validation.mean_squared_error(lambda x, _: nets(x), held_out, chunk)


def read_gan(run: Path) -> tuple[checkpoints.Arrays, dict[str, int]]:
    """Weights of a GAN run and the `SHAPE` of its networks.

    Raises ValueError if there is no checkpoint, if it is not a GAN's, or if the GAN has not grown to full size.
    """
    arrays, record = checkpoints.require_run(run, "a GAN", gan.MARK)
    options = config.from_dict(GANOptions, record["options"])
    if record["resolution"] != options.resolution:
        raise ValueError(f"the GAN in {run} has grown to {record['resolution']} px of {options.resolution}; train it on")
    return arrays, {name: getattr(options, name) for name in SHAPE}


def _resume(options: AEGANOptions, gan_run: Path, folder: Path) -> tuple[Networks, int, validation.Curve]:
    arrays, shape = read_gan(gan_run)
    nets = Networks(options, shape)
    latest = checkpoints.load_latest(folder)
    if latest is None:
        nets.start_from(arrays)
        return nets, 0, []
    arrays, record = latest
    checkpoints.require_kind(folder, record, "an AEGAN", MARK)
    checkpoints.require_same(folder, {"bilinear_from": 0, **record[MARK]}, shape)  # older runs had no choice
    checkpoints.require_same(folder, record["options"], dict(width=options.width))
    nets.restore(arrays)
    return nets, record["images"], validation.curve_of(record)


def _save(nets: Networks, seen: int, curve, truth: np.ndarray, run: Run) -> None:
    """A checkpoint, and a sheet with a row each of truth, reconstructions G(E(x)) and samples G(z)."""
    record = dict(images=seen, curve=curve, aegan=nets.shape, options=config.to_dict(nets.options))
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    x = tf.constant(truth[:8])
    latent = tf.random.stateless_normal((len(x), nets.shape["latent_size"]), seed=(nets.options.seed, 7))
    run.sheet(seen, plots.grid(np.concatenate([x, nets(x), nets.average(latent, training=False)]), columns=len(x)))


# -------------------------------------------------------------------------------------------- what a run is read by


def networks_of(folder: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks and record of the newest checkpoint of a run. Raises ValueError if there is none, or not an AEGAN's."""
    arrays, record = checkpoints.require_run(folder, "an AEGAN", MARK)
    nets = Networks(config.from_dict(AEGANOptions, record["options"]), record[MARK])
    nets.restore(arrays)
    return nets, record


def generator_of(nets: Networks) -> Generator:
    """The averaged generator in float32."""
    generator = Generator(**nets.average.config)
    copy_weights(nets.average, generator)
    return generator


def encoder_of(nets: Networks) -> Encoder:
    """The averaged encoder in float32, image -> mean of the code `[n, h]`: the head's columns for the mean alone."""
    size = nets.shape["latent_size"]
    encoder = Encoder(**{**nets.encoder_average.config, "code_size": size})
    *blocks, kernel, bias = nets.encoder_average.get_weights()
    encoder.set_weights([*blocks, kernel[:, :size], bias[:size]])
    return encoder
