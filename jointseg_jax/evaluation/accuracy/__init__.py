"""Design-based accuracy and area of a map from a probability sample: design, draw, label page, estimates, intervals.

May import: every room that `evaluation` may. Sources: Olofsson et al. 2014 (Remote Sensing of Environment 148, 42-57),
Stehman 2014 (International Journal of Remote Sensing 35, 4923-4939), Olofsson et al. 2020 (Remote Sensing of
Environment 236, 111492).
"""
