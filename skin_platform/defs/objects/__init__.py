"""Room ``objects``: the images themselves, in the object store, named by content."""
