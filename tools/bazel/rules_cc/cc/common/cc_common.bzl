"""`cc_common`, which Bazel 9 no longer has built in, where rules_cc has it."""

load("//cc:native.bzl", "native_cc_common")

cc_common = native_cc_common
