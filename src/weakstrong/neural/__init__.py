"""Networks: representations that are pretrained by equation (9), and heads that form no convex class."""
