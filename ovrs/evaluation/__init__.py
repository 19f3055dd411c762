"""Confusion matrix and the reports read from it (seen/unseen), and those of referring segmentation; knows no model."""
