"""The autoencoder is Table 1 of the paper: six halvings, widths f to 32f, a code of 256, and its mirror image."""

import numpy as np
import pytest

from gekeras.models.autoencoder import Decoder, Encoder, widths


def layers_of(network, kind):
    return [layer for layer in network.layers if type(layer).__name__ == kind]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_shapes(rng, resolution, channels):
    x = rng.uniform(-1, 1, (2, resolution, resolution, channels)).astype(np.float32)
    encoder, decoder = (part(resolution, channels, width=2) for part in (Encoder, Decoder))
    code = encoder(x).numpy()
    assert code.shape == (2, 256) and code.dtype == np.float32
    image = decoder(code).numpy()
    assert image.shape == x.shape and image.dtype == np.float32


def test_parameters_at_the_paper_s_width():
    """f = 32 at 128 px: the last feature map is 2x2x1024."""
    pairs = [(3, 32), (32, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    flat = 2 * 2 * 1024
    assert Encoder(128).count_params() == sum(9 * a * b + b for a, b in pairs) + flat * 256 + 256
    assert Decoder(128).count_params() == sum(9 * a * b + a for a, b in pairs) + 256 * flat + flat
    assert widths(32, 6) == [32, 64, 128, 256, 512, 1024]


def test_the_decoder_mirrors_the_encoder():
    encoder, decoder = Encoder(64, width=2, code_size=10), Decoder(64, width=2, code_size=10)
    # A transposed convolution keeps its kernel as [h, w, out, in].
    down = [layer.kernel.shape for layer in layers_of(encoder, "Conv2D")]
    up = [layer.kernel.shape for layer in layers_of(decoder, "Conv2DTranspose")]
    assert len(down) == 6 and up == down[::-1]
    assert len(layers_of(encoder, "MaxPooling2D")) == len(layers_of(decoder, "Upsample")) == 6
    assert [layer.output.shape[1] for layer in layers_of(encoder, "MaxPooling2D")] == [32, 16, 8, 4, 2, 1]
    assert [layer.output.shape[1] for layer in layers_of(decoder, "Upsample")] == [2, 4, 8, 16, 32, 64]


def test_the_code_is_linear_and_the_picture_bounded(rng):
    encoder, decoder = Encoder(16, width=4, code_size=8, blocks=4), Decoder(16, width=4, code_size=8, blocks=4)
    x = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(encoder(50 * x), 50 * encoder(x).numpy(), rtol=1e-3)  # biases are zero: ReLUs scale
    assert encoder(50 * x).numpy().min() < 0
    image = decoder(1e4 * rng.normal(size=(4, 8)).astype(np.float32)).numpy()
    assert image.min() == -1 and image.max() == 1


@pytest.mark.parametrize("part", [Encoder, Decoder])
@pytest.mark.parametrize("resolution, blocks", [(100, 6), (32, 6), (0, 6), (24, 4)])
def test_sides_that_cannot_be_halved_are_refused(part, resolution, blocks):
    with pytest.raises(ValueError, match=f"multiple of {2**blocks}.*received {resolution}"):
        part(resolution, blocks=blocks)


@pytest.mark.parametrize("part, shape", [(Encoder, (2, 16, 16, 1)), (Decoder, (2, 8))])
def test_config_round_trip(rng, part, shape):
    network = part(16, 1, width=2, code_size=8, blocks=4, name="other")
    copy = part.from_config(network.get_config())
    assert copy.get_config() == network.get_config()
    copy.set_weights(network.get_weights())
    x = rng.uniform(-1, 1, shape).astype(np.float32)
    np.testing.assert_array_equal(copy(x), network(x))
