"""Training and evaluation on Detectron2: trainer, parameter groups, launching."""
