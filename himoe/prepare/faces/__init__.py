"""Faces in videos: decoding, detection, frame features, and their tracks on disk."""
