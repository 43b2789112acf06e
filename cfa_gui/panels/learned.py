"""What a finished training says about itself, in plain words."""

from cfa_gui.models.pace import clock_text
from core.threshold import smallest_rate
from core.trained_model import TrainedModel


def learned_sentences(model: TrainedModel) -> tuple[str, ...]:
    """A few sentences: from what was learned, what was held out and why, what can be promised."""
    summary, scores = model.summary, model.calibration.scores
    sentences = [
        (
            f"Learned from {summary.images} good images in {clock_text(summary.seconds)} on {summary.device}. "
            f"The memory of good holds {summary.bank_size:,} entries of {summary.channels} numbers (memory bank)."
        )
    ]
    if scores:
        rate = smallest_rate(len(scores))
        sentences.append(
            f"{len(scores)} good images were held out. They score {min(scores):.3f} to {max(scores):.3f}: "
            "that is how a good part looks to this model."
        )
        sentences.append(
            f"With {len(scores)} held-out images the smallest false-alarm rate that can be promised is {rate:.1%} "
            "(split conformal prediction). More good images allow a smaller one."
        )
    else:
        sentences.append("No image was held out, so no false-alarm rate can be promised.")
    return (*sentences, *summary.notes)
