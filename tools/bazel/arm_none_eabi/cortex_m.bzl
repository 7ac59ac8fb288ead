"""The toolchain description of gcc-arm-none-eabi for each core."""

load(
    "@rules_cc//cc:cc_toolchain_config_lib.bzl",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
)
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")
load(":cores.bzl", "CORES")

_COMPILE_ACTIONS = [
    "assemble",
    "preprocess-assemble",
    "c-compile",
    "c++-compile",
    "c++-header-parsing",
    "c++-link-executable",
]

def _impl(ctx):
    flags = ["-mthumb"] + CORES[ctx.attr.core] + ["-ffunction-sections", "-fdata-sections"]
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        toolchain_identifier = ctx.attr.core,
        host_system_name = "local",
        target_system_name = "arm-none-eabi",
        target_cpu = ctx.attr.core,
        target_libc = "newlib",
        compiler = "gcc",
        abi_version = "eabi",
        abi_libc_version = "newlib",
        cxx_builtin_include_directories = [
            "/usr/include/newlib",
            "/usr/lib/gcc/arm-none-eabi",
            "/usr/lib/arm-none-eabi/include",
        ],
        tool_paths = [
            tool_path(name = name, path = "/usr/bin/arm-none-eabi-" + name)
            for name in ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objdump", "strip"]
        ],
        features = [
            feature(
                name = "default_flags",
                enabled = True,
                flag_sets = [flag_set(
                    actions = _COMPILE_ACTIONS,
                    flag_groups = [flag_group(flags = flags)],
                )],
            ),
            feature(
                name = "opt",
                flag_sets = [flag_set(
                    actions = ["c-compile", "c++-compile"],
                    flag_groups = [flag_group(flags = ["-O3"])],
                )],
            ),
            # Dependencies under the names Bazel knows, where a repository is a symbolic link.
            feature(
                name = "header_names",
                enabled = True,
                flag_sets = [flag_set(
                    actions = ["c-compile", "c++-compile"],
                    flag_groups = [flag_group(flags = [
                        "-no-canonical-prefixes",
                        "-fno-canonical-system-headers",
                    ])],
                )],
            ),
        ],
    )

cortex_m_toolchain_config = rule(
    implementation = _impl,
    attrs = {"core": attr.string(mandatory = True, values = CORES.keys())},
    provides = [CcToolchainConfigInfo],
)
