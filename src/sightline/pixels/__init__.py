"""From bytes to RGB ``uint8`` pixels: the only door through which an image enters Sightline.

Comes in: files or bytes. Goes out: ``[H, W, 3] uint8`` arrays, as decoded, as stored in the cache, or as the
square that the network sees. Knows numpy and Pillow; knows nothing about labels, networks or runs.
"""
