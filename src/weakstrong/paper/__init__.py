"""The experiments of the paper, with its claims beside what came out."""
