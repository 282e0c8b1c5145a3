"""What a step costs before it runs: its memory, its FLOPs, the largest batch that fits.

May import: whatever training may. Of training, only `train` imports it.
"""
