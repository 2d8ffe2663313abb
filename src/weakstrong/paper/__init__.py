"""The experiments of the paper, with its claims and our results side by side."""
