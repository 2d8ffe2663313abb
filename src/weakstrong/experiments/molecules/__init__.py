"""Weak-to-strong supervision on molecules (Section 5.2): inputs, divisions, statistics, claims."""
