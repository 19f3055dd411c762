"""Systems (one file each), their shared base, and the encoders and blocks they are built from."""
