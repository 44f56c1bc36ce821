#!/bin/sh
# Installs the Debian packages that are missing. Usage: deps.sh [build|masters|test|bench]
#   build   what `make` and tools/demo.sh need
#   masters that, and what tools/demo.sh --masters needs
#   test    that, and what tools/test.sh needs (the default)
#   bench   what `make bench` needs
# dpkg is asked first: where nothing is missing it is done at once, without root and network.
set -eu

BUILD="gcc libc6-dev make pkg-config libevent-dev libleveldb-dev libcurl4-openssl-dev libssl-dev
    libjansson-dev curl"
TEST="$BUILD git check python3 nginx-light clang clang-format clang-tidy libclang-rt-14-dev procps
    strace xfsprogs e2fsprogs iproute2 nftables mount util-linux etcd-server"
MASTERS="$BUILD etcd-server"
BENCH="$BUILD check python3 nginx-light gnuplot-nox etcd-server"

case "${1:-test}" in
build) wanted=$BUILD ;;
masters) wanted=$MASTERS ;;
test) wanted=$TEST ;;
bench) wanted=$BENCH ;;
*)
    echo "Usage: deps.sh [build|masters|test|bench]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "deps.sh: this machine has no dpkg; install by hand what these Debian packages hold:" \
        $wanted >&2
    exit 1
fi

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case "$state" in
    ?i*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
echo "deps.sh: installing$missing"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "deps.sh: these packages are missing, and installing them needs root (there is no" \
            "sudo here). Run as root: apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi

# A policy that forbids it keeps Debian's nginx and etcd from being started: the tests start their
# own, on loopback. Where the machine has a policy of its own, that one stays.
policy=/usr/sbin/policy-rc.d
made_policy=
forget_policy()
{
    [ -z "$made_policy" ] || $as_root rm -f "$policy"
    made_policy=
}
trap forget_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

apt()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null
}
have_lists()
{
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1
}
have_lists || apt update
if ! apt install --no-install-recommends $missing; then
    echo "deps.sh: trying once more, with fresh lists of packages"
    apt update
    apt install --no-install-recommends $missing
fi
