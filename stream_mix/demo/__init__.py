"""The demonstration: a real stream through a real engine on this machine, seen, drawn and compared.

The stream is NASA's shuttle data (Statlog, as River ships it): 49,097 rows of nine sensors in their order, of
which 3,511 are labelled anomalies. Of the sets that River ships it shows best what a mixture is for, measured
over five seeds with one pass each, median adjusted Rand index of a full mixture, of k-means on the rows as
they are, and of k-means on scaled rows:

    shuttle         K = 2: 0.93, 0.00, 0.97
    image segments  K = 7: 0.47, 0.34, 0.46    (seven classes; scikit-learn's MiniBatchKMeans 0.52)
    bananas         K = 8: 0.17, 0.12, 0.12    (two bent shapes, of which neither makes two clusters)

With more components every method also parts the normal rows, and an index over two labels falls for all; the
mixture's log-likelihood goes on rising, and its components stay pure. That is why the engine of the
demonstration learns two models: one with as many components as the labels have kinds, and one with four.
"""

from __future__ import annotations

from .show import run

__all__ = ["run"]
