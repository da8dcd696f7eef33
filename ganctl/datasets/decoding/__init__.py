"""Decoding: the bytes of an image file → pixels as networks see them, or the reason why not."""
