"""Showing what was found: terminal tables, figures and progress."""
