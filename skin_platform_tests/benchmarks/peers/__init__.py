"""Peers: what one writes without us, each as small as it gets, with the same engine or the same checkpoint."""
