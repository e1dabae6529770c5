"""Images and labels: embedded, generated, fetched or from the CIFAR-10 archive."""
