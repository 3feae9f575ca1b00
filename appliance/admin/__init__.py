"""The HTTP side of management: health now; the admin page joins with identity and TLS."""
