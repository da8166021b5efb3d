"""What failures and feedback teach."""

from druse.learning.failures import ENVIRONMENT, Diagnosis, diagnose, said_class

__all__ = ["ENVIRONMENT", "Diagnosis", "diagnose", "said_class"]
