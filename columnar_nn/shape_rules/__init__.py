"""Output shapes of the ONNX operators, one family a file; `columnar_nn.shapes` collects them."""
