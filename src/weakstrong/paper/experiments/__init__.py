"""The experiments of the paper, found by what these modules list: adding one takes one file."""
