"""What Bazel 4 has built in, under names that do not hide it."""

native_cc_common = cc_common
NativeCcToolchainConfigInfo = CcToolchainConfigInfo
