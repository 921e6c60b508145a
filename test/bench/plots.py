"""Draws the plots of benchmarks.json as SVG files, the same bytes for the same numbers.

    python plots.py benchmarks.json DIRECTORY
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "runtag",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
})
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)


def draw(plot, path):
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.set(title=plot["title"], xlabel=plot["x"], ylabel=plot["y"])
    if plot.get("samples"):
        axes.hist(plot["samples"], bins=40)
    for line in plot.get("lines") or []:
        axes.plot(line["x"], line["y"], marker="o", markersize=3, label=line["name"])
    if plot.get("logX"):
        axes.set_xscale("log")
    if plot.get("logY"):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if plot.get("lines"):
        axes.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(data, directory):
    directory = pathlib.Path(directory)
    wanted = set()
    for row in json.loads(pathlib.Path(data).read_text())["rows"] or []:
        for plot in row.get("plots") or []:
            path = directory / (plot["file"] + ".svg")
            wanted.add(path)
            draw(plot, path)
    for path in directory.glob("*.svg"):
        if path not in wanted:
            path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
