"""Referring segmentation's data: sentences, each with the mask of what it means; from files, from descriptions, or drawn."""
