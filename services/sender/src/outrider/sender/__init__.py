"""Sender: claims each due step in the log, mails it, and records what became of it."""
