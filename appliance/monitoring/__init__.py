"""What happens to models in use: traffic, latency, answered predictions, drift, alerts, Prometheus."""
