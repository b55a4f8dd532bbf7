"""What a search found: its winner, and whether that is better than the plain recipe by more than luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sightline.evaluation.intervals import Units
from sightline.evaluation.search_luck import Lead, judge_lead
from sightline.text import count_of, signed
from sightline.tuning.outcome import Outcome, completed
from sightline.tuning.table import scores_of

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The best trial on validation, and what its lead is worth.

    Attributes:
        best: the trial with the highest score; of equals the plain recipe, then the earliest.
        plain: the plain recipe's trial.
        lead: of the best over the plain recipe.
        images: what measured the trials, in words.
    """

    best: Outcome
    plain: Outcome
    lead: Lead
    images: str = "validation images"

    @property
    def ships_best(self) -> bool:
        """Whether the best trial's settings ship; else the plain recipe does."""
        return not self.best.is_plain and self.lead.is_better

    def sentence(self) -> str:
        """Return it in words."""
        lead, images = self.lead, f"{self.lead.images:,} {self.images}"
        of = f"the best of {lead.trials}"
        if self.best.is_plain:
            others = count_of(lead.trials - 1, "other trial")
            return f"No better than the plain recipe: none of {others} had more of the {images} right."
        observed, luck, expected, low, high = (
            signed(100 * value) for value in (lead.observed, lead.luck, lead.expected, lead.low, lead.high)
        )
        start = f"trial {self.best.number} leads by {observed} points on {images}"
        rest = f"expected on other images: {expected} ({low} to {high})"
        if self.ships_best:
            luck_words = f"of which {luck} are expected to be the luck of {of}" if lead.luck > 0 else f"as {of}"
            return f"Better than the plain recipe: {start}, {luck_words}; {rest}."
        return f"No better than the plain recipe: {start}, and that may be the luck of {of}; {rest}."

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "best": self.best.number,
            "plain": self.plain.number,
            "ships": "best" if self.ships_best else "plain",
            "sentence": self.sentence(),
            "lead": asdict(self.lead) | {"is_better": self.lead.is_better},
        }


def judge(
    outcomes: Sequence[Outcome], count: int, units: Units | None, images: str = "validation images"
) -> Verdict | None:
    """Return what the complete trials show; None where the plain recipe is not among them.

    Args:
        outcomes: of all trials.
        count: images that measured the trials.
        units: ``[count]``, numbers of the units of these; None: each is its own.
        images: what they are, in words.
    """
    done = completed(outcomes)
    if not done or not done[0].is_plain:
        return None
    scores = scores_of(outcomes, count)
    best = int(scores.sum(1).argmax())
    return Verdict(done[best], done[0], judge_lead(scores, 0, units=units), images)
