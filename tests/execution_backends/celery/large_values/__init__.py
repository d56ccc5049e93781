"""Large values between clients and workers."""
