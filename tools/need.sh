#!/bin/sh
# Install Debian packages when something is missing.
#   need.sh PACKAGE            always installs
#   need.sh COMMAND=PACKAGE …  installs PACKAGE when COMMAND is not found
set -eu

missing=
for need in "$@"; do
    command=${need%%=*}
    package=${need#*=}
    if [ "$command" = "$package" ] && [ "$need" = "$package" ]; then
        missing="$missing $package"
    elif ! command -v "$command" >/dev/null 2>&1; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "need.sh: please install:$missing (this system has no apt-get)" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "need.sh: please install as root:$missing (there is no sudo)" >&2
        exit 1
    fi
    as_root=sudo
fi

install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
echo "installing:$missing"
install || { $as_root apt-get update -q && install; }
