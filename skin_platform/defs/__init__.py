"""The rooms: the only package that knows Dagster. One folder a room, in walking order in ``definitions.ROOMS``."""
