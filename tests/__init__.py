"""Tests run two at a time: one thread each, or torch and BLAS take turns at waiting for each other."""

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
