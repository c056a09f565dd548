"""``python -m fairlot`` is ``fairlot``."""

from fairlot.cli import main

if __name__ == "__main__":
    main()
