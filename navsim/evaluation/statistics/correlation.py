"""Do two numbers of several drivers go together? For example how well they predict and how well they drive."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

from scipy.stats import spearmanr

FEWEST = 5
"""Below so many points nothing is said: an interval over four still holds nearly everything."""

_SURE = 0.99  # ranks that agree throughout are beyond the transformation; their interval is that of this value


@dataclass(frozen=True)
class Correlation:
    """A rank correlation."""

    count: int
    """Number of points."""
    value: float | None
    """Spearman's coefficient in [-1, 1]; None of too few points, or if one number is the same for all."""
    interval: tuple[float, float] | None
    """95% interval, by Fisher's transformation with the variance of Bonett and Wright (Psychometrika 65, 2000)."""

    @property
    def words(self) -> str:
        """What can be said."""
        if self.count < FEWEST:
            return f"{self.count} points are too few to tell a correlation; {FEWEST} are needed"
        if self.value is None or self.interval is None:
            return f"{self.count} points, one number the same for all: no correlation can be told"
        low, high = self.interval
        verdict = "may as well be none" if low <= 0 <= high else "significant"
        return f"rank correlation {self.value:+.2f} ({low:+.2f} to {high:+.2f}) over {self.count} points: {verdict}"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Correlate the ranks of two numbers (N,) each."""
    count = len(first)
    if count < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return Correlation(count, None, None)
    value = float(spearmanr(first, second).statistic)
    spread = 1.96 * sqrt((1 + value**2 / 2) / (count - 3))
    inner = atanh(min(max(value, -_SURE), _SURE))
    return Correlation(count, value, (min(tanh(inner - spread), value), max(tanh(inner + spread), value)))
