"""Representations h: frozen maps from inputs to features."""
