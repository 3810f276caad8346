#!/usr/bin/env bash
# Runs the Makefile's targets for interpreters that this machine lacks, inside a Debian that has them: made once with debootstrap,
# in a folder outside the checkout, and reused. For root, on a Debian or a machine whose apt knows a Debian mirror.
#
#   tools/matrix.sh folder                  print where that Debian is kept
#   tools/matrix.sh ready                   succeed if it has been made
#   tools/matrix.sh prepare                 make it, unless it has been made
#   tools/matrix.sh make ARGUMENT...        run make in it on a copy of this checkout
set -euo pipefail

folder=${XDG_CACHE_HOME:-$HOME/.cache}/manhole-matrix
root=$folder/root
# The first Debian with Python 3.14, 3.15 and PyPy 3.11.
suite=forky
packages=python3.14,python3.14-venv,python3.15,python3.15-venv,pypy3,pypy3-venv,ca-certificates,make,socat,netcat-openbsd
# Whatever has been made otherwise is made anew.
recipe="$suite $packages"

fail() { echo "matrix: $*" >&2; exit 1; }

is_ready() { [ -e "$folder/ready" ] && [ "$(cat "$folder/ready")" = "$recipe" ]; }

need_root() {
    [ "$(id -u)" = 0 ] || fail "needs to be root: a Debian of its own is made by mknod and entered by chroot, in $folder"
}

# The mirror that apt is set up with: no other may be reachable from here.
find_mirror() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
    # Without package lists apt does not know what is Debian's, and the first is the distribution's own.
    echo "${mirror:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)}"
}

prepare() {
    is_ready && return
    need_root
    command -v apt-get >/dev/null || fail "needs apt-get: it makes a Debian with the mirror that apt is set up with"
    if ! command -v debootstrap >/dev/null; then
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap debian-archive-keyring
    fi
    local mirror
    mirror=$(find_mirror)
    [ -n "$mirror" ] || fail "apt is set up with no mirror"
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    [ -z "${http_proxy:-}" ] || export http_proxy
    [ -z "${https_proxy:-}" ] || export https_proxy
    echo "matrix: making a Debian $suite in $folder, which takes some minutes, once"
    mkdir -p "$folder"
    rm -f "$folder/ready"
    rm -rf --one-file-system "$root"
    # An older debootstrap does not know the suite's name; all that follow sid's rules are made alike.
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" /usr/share/debootstrap/scripts/sid \
        >"$folder/log" 2>&1 || fail "debootstrap failed: $(tail -n 3 "$folder/log"); all it said is in $folder/log"
    echo "$recipe" >"$folder/ready"
}

# What a program in there needs to reach the package index as one out here does.
copy_settings() {
    local file
    for file in /etc/resolv.conf /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" \
        /etc/ssl/certs/ca-certificates.crt "${PIP_CERT:-}" "${SSL_CERT_FILE:-}"; do
        [ ! -f "$file" ] || install -D -m 644 "$file" "$root$file"
    done
}

# All but the environments that an earlier run has made in there.
copy_checkout() {
    mkdir -p "$root/srv/checkout"
    find "$root/srv/checkout" -mindepth 1 -maxdepth 1 ! -name .cache ! -name .tox -exec rm -rf {} +
    tar -C "$(dirname "$0")/.." --exclude=./.git --exclude=./.cache --exclude=./.tox --exclude=__pycache__ -c . |
        tar -C "$root/srv/checkout" -x --no-same-owner
}

# The mounts are made in a mount namespace of its own: nobody else sees them, and they end with the command, however it
# ends.
run_inside() {
    unshare --mount --propagation private /bin/sh -euc '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        exec chroot "$0" env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TMPDIR=/tmp "$@"
    ' "$root" "$@"
}

case ${1:-} in
folder) echo "$folder" ;;
ready) is_ready ;;
prepare) prepare ;;
make)
    shift
    is_ready || fail "there is no Debian in $folder yet: run tools/matrix.sh prepare"
    need_root
    copy_settings
    copy_checkout
    run_inside make -C /srv/checkout PYTHON=python3.14 "$@"
    ;;
*) fail "usage: tools/matrix.sh folder | ready | prepare | make ARGUMENT..." ;;
esac
