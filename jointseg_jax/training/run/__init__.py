"""Input and output of a run: logs, TensorBoard, rates, profiles, stop requests.

May import: errors, storage. Only this room imports tensorboardX.
"""
