"""Tables, figures, and the page that opens without a network."""
