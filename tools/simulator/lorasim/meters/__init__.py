"""Meters of a town: what they measure, what goes wrong with them, and the payloads they tell it in."""
