"""The pictures of a run. Importing this loads no Matplotlib; drawing does."""

from distribute_challenge.benchmarking.results.plots.drawing import draw, require
from distribute_challenge.benchmarking.results.plots.pictures import PICTURES, Picture

__all__ = ["PICTURES", "Picture", "draw", "require"]
