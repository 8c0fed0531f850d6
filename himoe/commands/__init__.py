"""What the commands of the command line do: each module is loaded by name when it is asked for."""
