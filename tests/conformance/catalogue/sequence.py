"""Losses of sequences: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np

from ..model import WIDE, Array, Case, Entry, Rows, Shape, Tensors


def alignments(
    rng: np.random.Generator,
    shape: Shape,
    concatenated: bool = False,
    blank: int = 0,
    full: bool = False,
) -> Tensors:
    """Log-probabilities (T, N, C) or (T, C) and targets that fit, even if one label repeats."""
    x = 2 * rng.normal(size=shape)
    batch, classes = shape[1:-1], shape[-1]
    steps = rng.integers((shape[0] + 1) // 2, shape[0] + 1, batch)
    lengths = np.asarray([rng.integers(0, (n + 1) // 2 + 1) for n in steps.ravel()])
    if full:
        steps = np.full(batch, shape[0])
    labels = rng.integers(0, classes - 1, (*batch, max(int(lengths.max()), 1)))
    labels += labels >= blank
    if concatenated or not batch:
        rows = labels.reshape(-1, labels.shape[-1])
        labels = np.concatenate([row[:n] for row, n in zip(rows, lengths, strict=True)])
    return {
        "log_probs": x - np.log(np.exp(x).sum(-1, keepdims=True)),
        "targets": labels,
        "input_lengths": np.asarray(steps),
        "target_lengths": lengths.reshape(batch),
    }


def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Rows:
    """Sums over alignments by their logarithms; targets must fit."""
    alone = log_probs.ndim == 2
    x = log_probs[:, None] if alone else log_probs
    steps, lengths = np.atleast_1d(input_lengths), np.atleast_1d(target_lengths)
    if targets.ndim == 1:
        targets = np.split(targets, np.cumsum(lengths)[:-1])
    losses = np.zeros(x.shape[1], WIDE)
    slopes = np.zeros((x.shape[1], x.shape[0], x.shape[2]), WIDE)
    scales, torch = slopes.copy(), slopes.copy()
    for n, (time, count) in enumerate(zip(steps, lengths, strict=True)):
        states = [blank] + [s for y in targets[n][:count] for s in (y, blank)]
        follows = [
            [
                r
                for r in range(max(s - 2, 0), s + 1)
                if r >= s - 1 or states[r] != states[s] != blank
            ]
            for s in range(len(states))
        ]
        ends = list(range(len(states)))[-2:]
        p = x[:time, n][:, states]
        prefix, suffix = np.full(p.shape, -np.inf, WIDE), np.full(p.shape, -np.inf, WIDE)
        prefix[0, :2], suffix[-1, ends] = p[0, :2], 0
        for t in range(1, time):
            for s, before in enumerate(follows):
                prefix[t, s] = np.logaddexp.reduce(prefix[t - 1, before]) + p[t, s]
        for t in range(time - 2, -1, -1):
            for s, before in enumerate(follows):
                for r in before:
                    path = suffix[t + 1, s] + p[t + 1, s]
                    suffix[t, r] = np.logaddexp(suffix[t, r], path)
        total = np.logaddexp.reduce(prefix[-1, ends])
        losses[n] = -total
        share = np.exp(prefix + suffix - total)
        taken = np.zeros((time, x.shape[2]), WIDE)
        for s, label in enumerate(states):
            taken[:, label] += share[:, s]
        slopes[n, :time] = np.exp(x[:time, n]) - taken
        scales[n, :time] = np.exp(x[:time, n]) + 2 * taken
        torch[n, :time] = taken * abs(total) * time / 32  # its logarithms grow with the steps
    scale = abs(losses) + 1 + steps / WIDE(4)
    made = Rows(
        (losses, scale),
        {"log_probs": (slopes, scales)},
        layout=lambda slope: np.moveaxis(slope, 0, 1),
        cancelled=abs(losses) * steps / 32,
        torch={"log_probs": torch},
        factors=1 / np.maximum(lengths, 1).astype(WIDE),
    )
    if not alone:
        return made
    return Rows(
        (losses[0], scale[0]),
        {"log_probs": (slopes[0], scales[0])},
        cancelled=made.cancelled[0],
        torch={"log_probs": torch[0]},
        factors=made.factors[0],
    )


ENTRIES: Final = {
    "ctc_loss": Entry(
        alignments,
        ("log_probs",),
        [(7, 5), (1, 1, 2), (2, 3, 4), (6, 4, 5), (12, 3, 10), (9, 1, 70), (3, 130, 3)],
        [{"zero_infinity": True}],
        (6, 4, 5),
        options=[{"concatenated": True}, {"full": True}],
        more=[
            Case("ctc_loss", (6, 4, 5), {"blank": 3}, {"blank": 3}),
            Case("ctc_loss", (7, 5), {"blank": 4}, {"blank": 4}),
            Case("ctc_loss", (80, 5, 30), brief=True),
            Case("ctc_loss", (700, 2, 12), brief=True),
        ],
    ),
}

FORMULAS: Final = (ctc_loss,)
