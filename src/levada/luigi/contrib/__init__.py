"""Luigi's modules for products, by their old names; what they do is done in ``levada.contrib`` and ``levada.handover``."""
