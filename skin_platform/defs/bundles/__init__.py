"""Room ``bundles``: what is served."""
