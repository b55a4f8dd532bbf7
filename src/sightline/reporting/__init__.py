"""A run folder to a page that one can send by mail.

Comes in: a :class:`~sightline.runs.folder.Run`. Goes out: ``report.html``, figures, the model card. Knows
Jinja2 and matplotlib; knows no torch. A section is one function, one template and one row of ``SECTIONS``.
"""
