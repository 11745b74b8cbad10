# To be sourced. find_python prints a Python >= 3.11 that can make virtual environments, or fails.
# PYTHON in the environment, if set, is the only candidate.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        # Debian's python3 has no ensurepip until python3-venv is installed.
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}
