"""The OpenVINO backend: its network."""
