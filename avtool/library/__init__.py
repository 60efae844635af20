"""A library of films: many at a time, on the cores of one machine or on many machines."""
