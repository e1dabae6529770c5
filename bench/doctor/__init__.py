"""What this machine can show, measured: nothing on it is changed."""
