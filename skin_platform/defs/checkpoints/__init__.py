"""Room ``checkpoints``: what was learnt, and how good it is."""
