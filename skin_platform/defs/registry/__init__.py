"""Room ``registry``: which versions there are, what was found of them, and which one answers."""
