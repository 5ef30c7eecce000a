"""Room ``metadata``: what is known of every image, in one table."""
