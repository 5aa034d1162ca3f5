"""The timm network: backbone, cached features, export."""
