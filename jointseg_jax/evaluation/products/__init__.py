"""Maps beside other products: a coded and cited table of them, agreement on both grids, scores on labelled ground.

May import: every room that `evaluation` may.
"""
