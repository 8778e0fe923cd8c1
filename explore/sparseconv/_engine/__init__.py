"""The bitmap engine: a compiled sparse convolution."""
