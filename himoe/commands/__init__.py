"""What the commands of the command line do that need a model: each module is loaded by name when it is asked for."""
