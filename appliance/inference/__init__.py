"""The inference endpoint: plane (who answers), codecs (what is said), endpoint (HTTP), serve (granian)."""
