"""Output shapes of the ONNX operators, one family a file; `model.operators` collects them.

Where an output has the images of a batch is said by the rules of `model/batch_axis.py`.
"""
