"""Room ``datasets``: what is learnt from and judged on, frozen."""
