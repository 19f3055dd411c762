"""Encoders: well-kept libraries behind three small contracts (vision-language, guidance, text)."""
