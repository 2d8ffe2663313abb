"""Reading and checking of users' data: feature matrices, tables of labels and splits."""
