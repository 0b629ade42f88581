"""The dialogue with residents: codes for signing in, their flats, tickets, announcements, photos of meters."""
