"""Networks: ONNX files, the graphs they become, their shapes, and the networks by name."""
