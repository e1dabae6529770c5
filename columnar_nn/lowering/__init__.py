"""ONNX operators as calls of vector functions: a lowering for each operator."""
