"""Where speech comes from: made on the spot, downloaded once, or a folder of yours."""


class CorpusError(ValueError):
    """A corpus cannot be used as asked; the message says what happened and what to do."""
