"""Where things are kept: one file a client library, no Dagster."""
