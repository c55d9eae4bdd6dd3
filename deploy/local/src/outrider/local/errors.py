"""What the runner says when it cannot go on."""


class Failed(Exception):  # noqa: N818  # reads as a sentence: start() raises Failed
    """The message is one sentence for the person at the terminal: what is wrong, and where to look."""
