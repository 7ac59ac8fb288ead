"""The version of the package, for pyproject.toml and for the manifests of exported projects."""

VERSION = "0.1.0"
