"""The experiments of the paper; a new one is a new module here that lists it in ``EXPERIMENTS``."""
