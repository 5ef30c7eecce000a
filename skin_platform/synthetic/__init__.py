"""Synthetic photographs: invented patients, lesions and pictures, with faults planted on request."""
