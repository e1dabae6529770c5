"""ONNX operators said in vector functions, one family a file, as in `shape_rules`."""
