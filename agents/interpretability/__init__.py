"""What a policy learned to see: filters, feature maps, saliency, and what its decisions depend on."""
