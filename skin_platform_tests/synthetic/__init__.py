"""What the synthetic photographs promise."""
