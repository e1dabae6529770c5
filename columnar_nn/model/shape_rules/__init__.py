"""Output shapes of the ONNX operators, one family a file; `model.shapes` collects them."""
