"""A torch model and torch's optimizer, with the criterion computed by lossd.

    python examples/train_torch.py --target localhost:50051

Trains on scikit-learn's handwritten digits twice, with lossd's CrossEntropyLoss and with torch's,
from the same weights and batches, and prints both losses side by side: they agree.
"""

import argparse
from collections.abc import Callable

import torch
from lossd_client import Client, connect, nn
from sklearn.datasets import load_digits

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def train(criterion: Criterion, epochs: int) -> list[float]:
    """Train a small network on the digits; the loss of every step."""
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    images = (images / 16).float()
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            loss = criterion(model(images[batch]), labels[batch])
            loss.backward()  # reaches the model's weights, wherever the loss was computed
            optimizer.step()
            losses.append(loss.item())
    return losses


def compare(client: Client, epochs: int) -> list[tuple[float, float]]:
    """Losses of every step with lossd's criterion and with torch's."""
    ours = train(nn.CrossEntropyLoss(label_smoothing=0.1, client=client), epochs)
    theirs = train(torch.nn.CrossEntropyLoss(label_smoothing=0.1), epochs)
    return list(zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", help="a server's address, or inproc:")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    with connect(options.target) as client:
        steps = compare(client, options.epochs)
    print("  step     lossd     torch")
    for step in range(0, len(steps), 15):
        print(f"{step:6} {steps[step][0]:9.6f} {steps[step][1]:9.6f}")
    apart = max(abs(a - b) for a, b in steps)
    print(f"largest difference in {len(steps)} steps: {apart:.1e}")


if __name__ == "__main__":
    main()
