"""What is left when avtool is killed, or cannot write, at any moment."""
