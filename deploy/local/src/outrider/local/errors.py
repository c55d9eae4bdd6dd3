"""What the runner says when it cannot go on."""


class Failed(Exception):
    """The message is one sentence for the person at the terminal: what is wrong, and where to look."""
