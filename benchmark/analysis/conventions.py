"""What the names in a summary mean: the texts that stand in it."""

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import CONFIDENCE

REFERENCE = "dap"  # the method under study
DIGITS = 6
_ALWAYS: dict[str, str | float] = {
    "confidence": CONFIDENCE,
    "unit": "search seed: k-shot draws are averaged within a seed, intervals and tests run over seeds (Student t)",
    "half": "half width of the interval; null below three seeds",
    "draw_sd": "standard deviation over the k-shot draws of a seed, pooled over seeds",
    OVERALL: "stands as a target of its own where two or more targets have the number of shots: their unweighted mean "
    "within a seed, over the seeds that have all of them; so means at different shots may be over different targets. "
    "Its draw_sd is that of one draw per target",
    "area": "area under accuracy over log achieved complexity, divided by the log range; seeds with every budget",
    "small_areas": "areas over the budgets of 10 % and less alone, in tests the measure small area; none where these "
    "are fewer than two, or all there are",
    "difference": f"{REFERENCE} (default variant) minus the method, paired by seed; positive: {REFERENCE} is better",
    "gap": "area with inherited minus area with fresh weights, same architectures, paired by seed",
    "twice": "dense control with fresh weights: trained on the source for twice as many steps minus as in the grid, "
    "paired by seed",
    "family": "Holm's correction runs over all comparisons that share granularity, weights, target, shots, measure "
    "(accuracy, area or small area) and kind of rival (methods: default variants of other methods; variants; dense)",
    "primary": "the endpoints that params.yaml names before the first row: first minus second, one number per seed; "
    "Holm's correction over all of them. Every other comparison here is exploratory",
    "joint_half": "half width at which the intervals of a whole family hold together with 95 % (Bonferroni)",
    "rules": "search-free methods and variants: no search and no pretraining. A family is all rules and budgets of "
    "equal granularity, measure and shots",
    "best_rule": f"{REFERENCE} minus the best rule: the smallest of its differences from all rules; low and high are "
    "the smallest lower and upper ends of the joint intervals, and best is the rule that is closest in the sample",
    "equal_cost": f"area of {REFERENCE} minus that of the method over the log of the other cost, within a seed over "
    "the range that both reach",
    "ranks": "mean rank over targets, shots, budgets of the rivals (default variants, all variants of what costs no "
    "search); low and high: expanded percentile interval over resamples of at least five seeds; apart: that of the "
    "rank minus the best's excludes zero, not corrected for multiplicity",
    "pairing": f"correlation with {REFERENCE} over seeds, pooled over budgets at the headline's place; variance: of "
    "paired differences over that of unpaired ones",
    "variances": "sd: of one seed's accuracy, at the headline's shots, averaged as a variance over budgets; "
    "episodes, retrainings and seeds: shares of its square; null: not to be told apart, contained in seeds",
    "audit": "the rules of the protocol that can be checked from files: a suite that breaks one is no headline",
    "contributed": "cells and areas of methods whose rows others computed: neither paired nor tested",
    "largest_shares": "the largest part of its budget that a row of a method takes",
    "floats": f"rounded to {DIGITS} significant digits",
}
_ARMS = (
    "arm minus grid, default variants with fresh weights at the headline's target and shots, paired by seed; Holm's "
    "correction over all records of equal arm, granularity and measure; verdicts are read from the interval of the area"
)
_STUDIES = {
    "study_areas": "variant minus the method's default, at the headline's target and shots, paired by seed; budgets: "
    "all, or those of 10 % and less (small); Holm's correction over the variants of one study, granularity, weights "
    "mode and set of budgets",
    "study_settings": "the same over all budgets, in the mean over granularities; a variant that does not run at one "
    "counts as the default there; error: standard error of the difference; ahead: the best of its study, if its "
    "difference exceeds its error",
    "study_searches": "gap: relaxed minus discrete accuracy on held-out source images; spread: coefficient of "
    "variation of a group's kept units over seeds, mean over groups; overlap: share of kept units that two seeds have "
    "in common, chance: the same for units drawn at random, as many per group; nested: share of the units that the "
    "next larger budget keeps too; undecided: share of units whose backward gate lies between 0.05 and 0.95 at the "
    "end; search_cost: of the search for all budgets, in pretrainings",
}


def conventions(arms: bool, studies: bool) -> dict[str, str | float]:
    """Return the meaning of every name in a summary, with or without arms and studies."""
    return _ALWAYS | ({"arms": _ARMS} if arms else {}) | (_STUDIES if studies else {})
