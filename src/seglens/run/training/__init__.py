"""Training of the autoencoders and segmenters of this package: recipe, data, module, pictures, card.

`seglens.run.training.train.train` is the door. Lightning and tensorboard come with the extra 'train', and are imported
when a training begins, never before.
"""
