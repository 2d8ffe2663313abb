"""The paper's experiments, each with a configuration, a record and a figure."""
