"""What lies on disk: paths, records and locks, blobs, layers, unpacking, drivers, volumes."""
