"""One thin script a stage: read parameters, call the library, write."""
