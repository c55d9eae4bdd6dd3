"""Webhooks: the process that tells customers over HTTP what happened."""
