"""How the weights of the convolutions are named in a graph of export.py, and which are early."""

INSIDE = "network."  # before the network's own name, see `model.onnx.graph.Graph`
# Behind it, where the weight is stored as whole numbers, as onnxruntime names them.
QUANTIZED, SCALE = "_quantized", "_scale"
# The first stages of the trunk, which have 4 % of the weights. In 8 bits they changed probabilities
# of two networks by 0.055 and 0.038, without them by 0.012 and 0.010, in the same time.
EARLY = tuple(f".{block}." for block in ("block0", "block1", "block2"))


def is_early(weight: str) -> bool:
    """Whether its convolution computes in float32 in each precision, however it is stored."""
    return any(block in weight for block in EARLY)
