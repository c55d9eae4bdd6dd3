"""The HTTP gateway: accepts, shows, tracks."""
