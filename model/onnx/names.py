"""How the weights of the convolutions are named in a graph of export.py."""

INSIDE = "network."  # before the network's own name, see `model.onnx.graph.Graph`
# Behind it, where the weight is stored as whole numbers, as onnxruntime names them.
QUANTIZED, SCALE = "_quantized", "_scale"
