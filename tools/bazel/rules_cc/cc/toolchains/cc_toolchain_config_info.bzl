"""`CcToolchainConfigInfo`, which Bazel 9 no longer has built in, where rules_cc has it."""

load("//cc:native.bzl", "NativeCcToolchainConfigInfo")

CcToolchainConfigInfo = NativeCcToolchainConfigInfo
