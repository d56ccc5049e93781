"""A page on what a program ran: `report`."""
