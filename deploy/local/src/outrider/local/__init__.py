"""Outrider on one machine: the runner, the mail sandbox, the command line."""
