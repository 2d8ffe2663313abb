"""Results as terminal tables and figures."""
