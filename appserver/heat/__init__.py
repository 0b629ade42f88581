"""Heat: archives of calculators, what follows from them, and the report of heat consumption.

``quantity`` has units, enthalpy, energy and the identity of working times; ``graph`` the temperature graph and its
breaches; ``gaps`` the substitution by 99/пр; all pure. ``records`` keeps what calculators tell, ``outdoor`` the outdoor
temperature, ``days`` puts a building's days together, ``statement`` prints them.
"""
