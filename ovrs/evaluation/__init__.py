"""Confusion matrix and the reports read from it (seen/unseen); knows no model."""
