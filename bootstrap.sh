#!/bin/sh
# Makes .venv with every locked package, each checked against its hash, and the command `septet`.
# Make calls this when a lock file changed; it may be run by hand, and again at any time.
# What the operating system must give, and does not, is installed when that is allowed, else named.
set -eu
cd "$(dirname "$0")"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
            >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 is on the PATH. Install one, or name it: PYTHON=/path/to/python3.11"
}

has_certificates='
import os, ssl, sys
paths = ssl.get_default_verify_paths()
sys.exit(not (paths.cafile or (paths.capath and os.listdir(paths.capath))))
'

# One name a line: the Debian packages without which the rest cannot work.
missing_packages() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 || echo "python3-venv"
    # LightGBM's library is linked against GNU OpenMP, which no Python package brings along.
    "$1" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' >/dev/null 2>&1 || echo "libgomp1"
    "$1" -c "$has_certificates" || echo "ca-certificates"
}

install_packages() {
    command -v apt-get >/dev/null 2>&1 ||
        fail "this system lacks what Debian calls: $*. Install these, then run the command again."
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root="sudo"
    else
        fail "run this as root, then the command again: apt-get update && apt-get install -y $*"
    fi
    say "Installing from Debian: $*"
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -q && apt-get install -q -y --no-install-recommends "$@"' apt "$@" ||
        fail "apt-get could not install $*. Install these by hand, then run the command again."
}

python=$(find_python)
needed=$(missing_packages "$python" | tr '\n' ' ')
# shellcheck disable=SC2086 # names of packages, one word each
[ -z "$needed" ] || install_packages $needed
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python still cannot make an environment. Install its venv package: apt-get install -y $(basename "$(readlink -f "$python")")-venv"

if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c pass 2>/dev/null; then
    say "Making .venv with $python"
    "$python" -m venv --clear .venv
fi

# uv lies beside the environment that it fills, because it removes what is not in the lock.
uv=.venv/uv/bin/uv
if ! [ -x "$uv" ] || ! cmp -s requirements-uv.lock .venv/uv/installed.lock; then
    say "Installing uv"
    rm -rf .venv/uv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --target .venv/uv -r requirements-uv.lock
    cp requirements-uv.lock .venv/uv/installed.lock
fi

say "Installing the locked packages"
"$uv" pip sync --quiet --require-hashes --python .venv/bin/python requirements-dev.lock

# The checkout itself: a path file instead of a build, which would fetch a back end without a hash.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pwd >"$site/septet.pth"
cat >.venv/bin/septet <<'COMMAND'
#!/bin/sh
# -P: the folder that a user happens to stand in must not shadow our modules.
exec "$(dirname "$(readlink -f "$0")")/python" -P -m cli.main "$@"
COMMAND
chmod +x .venv/bin/septet
