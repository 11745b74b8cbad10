#!/usr/bin/env bash
# Installs what Qt, OpenGL and an off-screen display need from the system, and Python where there is none.
# Looks for the files themselves first, so it is quick, and silent, where nothing is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/find-python.sh

[ "$(uname -s)" = Linux ] || exit 0

# A shared library, and the Debian package that brings it.
LIBRARIES="
libGL.so.1           libgl1
libEGL.so.1          libegl1
libglib-2.0.so.0     libglib2.0-0
libdbus-1.so.3       libdbus-1-3
libfontconfig.so.1   libfontconfig1
libxkbcommon.so.0    libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0   libxcb-cursor0
libxcb-icccm.so.4    libxcb-icccm4
libxcb-keysyms.so.1  libxcb-keysyms1
libxcb-shape.so.0    libxcb-shape0
"

missing_packages() {
    local installed library package
    installed=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p)
    while read -r library package; do
        [ -z "$library" ] || [[ "$installed" == *"$library "* ]] || echo "$package"
    done <<<"$LIBRARIES"
    command -v Xvfb >/dev/null || echo xvfb
    command -v xauth >/dev/null || echo xauth # xvfb-run calls it
    find_python >/dev/null || printf '%s\n' python3 python3-venv
}

missing=$(missing_packages | xargs)
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "napari-nudiff needs these, by their Debian names, and this system has no apt-get to install them:" >&2
    echo "    $missing" >&2
    echo "Going on without; if napari does not open, install them first." >&2
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "System packages are missing and this user may not install them. Please run:" >&2
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing" >&2
        exit 2
    fi
    as_root=(sudo -n)
fi

echo "Installing system packages: $missing"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update || echo "apt-get update failed; trying with the package lists at hand" >&2
# shellcheck disable=SC2086  # a list of words
"${apt[@]}" install -y --no-install-recommends $missing >/dev/null
