"""``python -m meterwan``."""

from meterwan.cli import main

if __name__ == "__main__":
    main()
