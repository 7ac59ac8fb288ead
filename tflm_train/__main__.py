"""`python -m tflm_train`."""

from tflm_train.cli import run

if __name__ == "__main__":
    run()
