"""What every other room uses: errors, files, parameters, recordings, progress."""
