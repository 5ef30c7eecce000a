"""The rules of the house: values in, values with reasons out. Standard library, numpy and Pillow only."""
