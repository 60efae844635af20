"""Inputs made to do harm, and a runner that holds avtool to end each of them in one line."""
