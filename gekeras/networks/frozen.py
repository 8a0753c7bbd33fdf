"""A trained network as a graph of constants, for the thousands of calls of a solve.

What does not depend on the input (the scales of the equalised learning rate, kernels spread for resampling, weights cast
from float16) is computed once, when it is frozen, and not at each call. In bfloat16 the convolutions and matrix products are
taken in half precision, with float32 in between; the last one, whose result is the network's, stays float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

CONTRACTIONS = {"Conv2D": (0, 1), "Conv2DBackpropInput": (1, 2), "MatMul": (0, 1)}  # operation -> its float inputs


def frozen(function: Callable, size: Sequence[int | None], precision: str = "float32") -> Callable:
    """The function as it is now: weights that change later do not reach it.

    Args:
        function: tensor `[n, *size]` -> tensor, of TensorFlow operations.
        size: of one input.
        precision: "float32", or "bfloat16" of the contractions.

    Returns:
        The same map, float32 in and out, through which gradients pass.

    Raises:
        ValueError: a function that cannot be traced for batches of any size.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # no public name for it

    signature = tf.TensorSpec([None, *size], tf.float32)
    try:
        traced = tf.function(lambda x: tf.cast(function(x), tf.float32)).get_concrete_function(signature)
    except Exception as error:  # whatever a function of somebody's raises
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"a network that is frozen must take batches of any size: {reason}") from error
    constant = convert_variables_to_constants_v2(traced)
    inside, outside = constant.inputs[0].name, constant.outputs[0].name
    definition = constant.graph.as_graph_def()
    if precision == "bfloat16":
        definition = _lowered(definition)
    definition = _folded(definition, inside.split(":")[0], outside.split(":")[0])
    return _imported(definition).prune(inside, outside)


def _imported(definition: tf.compat.v1.GraphDef):
    return tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])


def _emptied(definition: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The same without its nodes."""
    empty = tf.compat.v1.GraphDef()
    empty.CopyFrom(definition)
    del empty.node[:]
    return empty


def _lowered(definition: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """With a cast to bfloat16 before each contraction but the last, and one to float32 after it."""
    half, single = (tf.as_dtype(name).as_datatype_enum for name in ("bfloat16", "float32"))
    found = [node.name for node in definition.node if node.op in CONTRACTIONS and node.attr["T"].type == single]
    lowered = _emptied(definition)

    def cast(name: str, source: str, kinds: tuple[int, int]) -> str:
        node = lowered.node.add(name=name, op="Cast", input=[source])
        node.attr["SrcT"].type, node.attr["DstT"].type = kinds
        return name

    for node in definition.node:
        if node.name not in found[:-1]:
            lowered.node.add().CopyFrom(node)
            continue
        inner = lowered.node.add()
        inner.CopyFrom(node)
        inner.name, inner.attr["T"].type = f"{node.name}/bfloat16", half
        for i in CONTRACTIONS[node.op]:
            inner.input[i] = cast(f"{node.name}/input_{i}", node.input[i], (single, half))
        cast(node.name, inner.name, (half, single))
    return lowered


def _folded(definition: tf.compat.v1.GraphDef, inside: str, outside: str) -> tf.compat.v1.GraphDef:
    """With the values of all that does not depend on the input in the places of what computes them."""
    nodes = {node.name: node for node in definition.node}
    order = _order(nodes, outside)
    moving = {inside}
    for name in order:
        if any(_source(source) in moving for source in nodes[name].input):
            moving.add(name)
    used = {source for name in order if name in moving for source in nodes[name].input if not source.startswith("^")}
    edge = sorted(source for source in used if _source(source) not in moving and nodes[_source(source)].op != "Const")
    tensors = [source if ":" in source else f"{source}:0" for source in edge]
    values = _imported(definition).prune([], tensors)() if edge else []
    constants = {source: f"folded/{k}" for k, source in enumerate(edge)}
    folded = _emptied(definition)
    for source, value in zip(edge, values):
        node = folded.node.add(name=constants[source], op="Const")
        node.attr["dtype"].type = value.dtype.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy(), value.dtype, value.shape))
    kept = moving | {_source(source) for source in used - set(edge)}
    for name in order:
        if name in kept:
            node = folded.node.add()
            node.CopyFrom(nodes[name])
            inputs = [constants.get(source, source) for source in node.input if not source.startswith("^")]
            del node.input[:]
            node.input.extend(inputs)
    return folded


def _order(nodes: dict, outside: str) -> list[str]:
    """The names of all that the result needs, what is needed before what needs it."""
    order, seen, stack = [], set(), [(outside, False)]
    while stack:
        name, done = stack.pop()
        if done:
            order.append(name)
        elif name not in seen:
            seen.add(name)
            stack.append((name, True))
            stack += [(_source(source), False) for source in nodes[name].input]
    return order


def _source(name: str) -> str:
    """The node behind an input's name: `a`, `a:1` or `^a`."""
    return name.lstrip("^").split(":")[0]
