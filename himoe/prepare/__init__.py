"""From recordings to windows: filters, features, faces, folds."""
