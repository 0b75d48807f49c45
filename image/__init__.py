"""OCI images: references, registry client, manifests, archives, pull."""
