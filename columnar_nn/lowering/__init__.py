"""ONNX operators as calls of vector functions: a rule for each operator."""
