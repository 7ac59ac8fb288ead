"""Learning on the host as fast as its bits allow: frozen layers once for each sample."""

from tflm_train.learning.latent_cache import LatentCache
from tflm_train.learning.rates import RateChoice, choose_rate
from tflm_train.learning.training import train

__all__ = ["LatentCache", "RateChoice", "choose_rate", "train"]
