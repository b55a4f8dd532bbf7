"""The data doctor: what is wrong with the data, before an hour is spent on it.

Comes in: inspected :class:`~sightline.data.samples.Samples` and a split. Goes out: findings. Knows no network
and prints nothing. Each family of findings is one small file, each finding one function and one row of
``CHECKS``.
"""
