"""Output shapes of the ONNX operators, one family a file; `model.shapes` collects them.

An operator with a shape rule needs one in `model/batch_axis.py` too, which says where its output
has the images of a batch.
"""
