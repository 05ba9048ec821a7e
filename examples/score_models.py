"""Two models scored row by row from files, and compared: is the new one better?

    python examples/score_models.py --out build/score

Trains two classifiers on the first 1000 of scikit-learn's handwritten digits, writes their
predictions of all digits, scores both with `lossd.scoring`, and compares the runs: on the digits
that both have seen, and on those that neither has. The folder then has both reports and
comparison.html.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from lossd.scoring import Comparison, compare, score

SEEN = 1000


def predict(folder: Path) -> None:
    """Write what two models make of the digits, the labels, and which digits were trained on."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    for name, strength in (("old", 1.0), ("new", 10.0)):
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(images[:SEEN], labels[:SEEN])
        np.save(folder / f"{name}.npy", model.decision_function(images).astype(np.float32))
    np.save(folder / "labels.npy", labels)
    np.save(folder / "part.npy", np.where(np.arange(len(labels)) < SEEN, "seen", "unseen"))


def run(folder: Path, *, report: bool = True) -> Comparison:
    """Score both models and compare them."""
    folder.mkdir(parents=True, exist_ok=True)
    predict(folder)
    for name in ("old", "new"):
        result = score(
            "cross_entropy",
            folder / f"{name}.npy",
            folder / "labels.npy",
            group_by=folder / "part.npy",
            out=folder / f"run-{name}",
            overwrite=True,
            report=report,
        )
        accuracy = result.summary["classification"]["accuracy"]
        print(f"{name}: mean loss {result.loss:.4f}, accuracy {accuracy:.2%}")
    out = folder / "comparison" if report else None
    return compare(folder / "run-old", folder / "run-new", out, overwrite=True)


def tell(made: Comparison) -> None:
    """Print the verdict, of all rows and of each part."""
    entries = [("all", made.means | made.bootstrap)]
    entries += [(one["group"], one) for one in made.groups]
    for name, found in sorted(entries):
        low, high = found["low"], found["high"]
        verdict = "new is better" if high < 0 else "old is better" if low > 0 else "cannot be told"
        print(
            f"{name:>6}: new - old {found['difference']:+.4f} [{low:+.4f}, {high:+.4f}], {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("build/score"), help="folder for all files"
    )
    options = parser.parse_args()
    tell(run(options.out))
    print(options.out / "comparison" / "comparison.html")


if __name__ == "__main__":
    main()
