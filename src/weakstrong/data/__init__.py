"""Reading what users bring: feature matrices, tables of labels, splits, examples."""
