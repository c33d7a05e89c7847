"""Learning from recorded drives: data, augmentation, loss, loop and checkpoints."""
