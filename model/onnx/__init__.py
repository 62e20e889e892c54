"""ONNX files: written with the help of torch, and run without it in ONNX Runtime."""

import os

# ONNX Runtime reports each session to its maker, unless this is set before it is loaded. Here no
# program sends anything anywhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
