"""Which precision networks are built in: Keras' global policy, for the length of a block and not longer."""

import contextlib

import keras


@contextlib.contextmanager
def building_in(policy):
    """Networks built inside get this dtype policy (a name such as `"mixed_bfloat16"`, or a policy object)."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def of_output():
    """Policy of a network's last layer: it computes in float32, and stores its weights as the other layers do if they, too,
    compute in float32."""
    policy = keras.mixed_precision.global_policy()
    return policy if policy.compute_dtype == "float32" else "float32"


def training_policy(mixed_precision: bool) -> str:
    """bfloat16 activations over float32 weights, or float32 throughout."""
    return "mixed_bfloat16" if mixed_precision else "float32"


def rebuilt(network, policy: str):
    """The same network with the same weights, computing under another policy."""
    with building_in(policy):
        copy = type(network)(**network.config, name=network.name)
    copy.set_weights(network.get_weights())
    return copy
