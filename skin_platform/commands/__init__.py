"""The commands of `skin` that are more than a few lines, one file a family; ``cli`` lists them."""
