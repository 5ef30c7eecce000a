"""Room ``raw``: deliveries as they come in, opened, hashed and judged."""
