"""Learning representations."""
