"""What is written from the declarations of the training ops (`tflm_train/ops`)."""
