"""What a run writes and hears: logs, TensorBoard, rates, profiles, stop requests.

May import: errors, storage. Only this room imports tensorboardX.
"""
