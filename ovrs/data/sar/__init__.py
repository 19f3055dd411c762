"""SAR images as partners of optical ones: reading to decibels, speckle filters, grids that must agree, shared geometry."""
