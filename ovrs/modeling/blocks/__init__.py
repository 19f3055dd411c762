"""Blocks: plain modules, tensors in and tensors out, that know no configuration."""
