"""Does lossd answer what PyTorch answers? One suite over every loss of the registry."""
