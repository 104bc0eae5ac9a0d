"""One small regression, forty steps of gradient descent, many learning rates."""

import numpy as np

from labhelpers.display import canvas

STEPS = 40


def final_loss(rate, x, y):
    w = np.zeros(x.shape[1])
    for _ in range(STEPS):
        w -= rate * 2 * x.T @ (x @ w - y) / len(y)
    return np.mean((x @ w - y) ** 2)


def figure():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 20)) * np.linspace(0.3, 1.5, 20)  # features of unlike size, as in life
    y = x @ draw.normal(size=20) + draw.normal(size=200)
    rates = np.logspace(-4, 0, 401)
    losses = np.array([final_loss(rate, x, y) for rate in rates])
    start = np.mean(y**2)
    best, cliff = rates[losses.argmin()], rates[losses > start].min()
    title = f"At a rate of {best:.2f} the loss is lowest; {cliff / best - 1:.0%} more, and it explodes"
    drawn, axes = canvas.plain_axes(title, "learning rate", f"loss after {STEPS} steps")
    axes.semilogx(rates, np.minimum(losses, 1.3 * start))
    axes.axhline(start, color="#777777", lw=1, ls="--")
    axes.set_ylim(0, 1.25 * start)
    axes.annotate("loss before training", (rates[0], start), (0, 5), textcoords="offset points")
    return drawn
