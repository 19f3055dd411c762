"""Data sets (one table), the mapper that reads them, and the procedural scenes."""
