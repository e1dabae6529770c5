"""The TensorFlow backend: networks built of its operators, and their profile."""
