"""The relay: the process that publishes the log to NATS, for subscribers outside."""
