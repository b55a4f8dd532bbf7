"""A run folder to a page that one can send by mail.

Comes in: a :class:`~sightline.runs.folder.Run`. Goes out: ``report.html``, figures, the model card. Knows
Jinja2 and matplotlib; knows no torch. A section is one function, one template and one row of ``SECTIONS``.
"""

import logging

# Where its folder can't be made or written matplotlib says so twice, and goes on with a temporary one.
logging.getLogger("matplotlib").addFilter(
    lambda record: not any(words in record.getMessage() for words in ("writable directory", "mkdir -p failed"))
)
