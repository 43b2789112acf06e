"""The CFA engine: anomaly inspection from good parts only. Imports no Qt."""
