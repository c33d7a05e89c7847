"""Inspection of policies: filters, feature maps, saliency, and the effect of each input on decisions."""
