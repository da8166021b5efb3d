"""The five execution modes."""
