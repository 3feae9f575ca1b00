"""Job bodies, one a file: the only place that joins data, training, export, validation and registry."""
