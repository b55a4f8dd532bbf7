"""From bytes to RGB ``uint8`` pixels: the only place where Sightline decodes an image.

Comes in: files or bytes. Goes out: ``[H, W, 3] uint8`` arrays, as decoded, as stored in the cache, or as the
square input of the network. Knows numpy and Pillow; knows nothing about labels, networks or runs.
"""
