"""The commands of cnn-bench."""
