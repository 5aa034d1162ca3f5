"""The tabs of the page: one module each, with its title and a function that lays it out."""
