"""A copy of the whole shop in another place, and the shop made again from one."""
