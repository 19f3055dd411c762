"""What systems cost: time, memory and operations, measured side by side. tools/benchmark*.py are its commands."""
