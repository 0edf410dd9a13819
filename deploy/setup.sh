#!/bin/sh
# Installs the Debian/Ubuntu packages that a make target needs; does nothing when all are there.
#
#   deploy/setup.sh demo   to build and run the sensor
#   deploy/setup.sh test   also for the tests, the benches and the live check
set -eu

level=${1:-test}
case $level in demo | test) ;; *) echo "usage: $0 demo|test" >&2; exit 64 ;; esac
PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin

if ! command -v cargo >/dev/null; then
    echo "setup: no Rust toolchain: install one with  curl -sSf https://sh.rustup.rs | sh -s -- -y  and open a new shell" >&2
    exit 69
fi

# command or file : package that brings it
wanted="cc:build-essential c++:build-essential /usr/include/pcap/pcap.h:libpcap-dev
    /usr/include/openssl/ssl.h:libssl-dev pkg-config:pkg-config"
if [ "$level" = test ]; then
    wanted="$wanted git:git python3:python3 /usr/bin/python3:python3-venv tshark:tshark tcpdump:tcpdump
        nginx:nginx-light wrk:wrk h2load:nghttp2-client curl:curl ip:iproute2 ethtool:ethtool openssl:openssl
        capinfos:wireshark-common valgrind:valgrind /usr/lib/python3/dist-packages/grpc:python3-grpcio
        java:default-jre-headless mvn:maven"
fi

packages=
for pair in $wanted; do
    thing=${pair%%:*} package=${pair##*:}
    case $package in
        # The venv module is there without the part that makes a venv work.
        python3-venv) /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || packages="$packages $package" ;;
        *) case $thing in
            /*) [ -e "$thing" ] || packages="$packages $package" ;;
            *) command -v "$thing" >/dev/null || packages="$packages $package" ;;
        esac ;;
    esac
done
[ -n "$packages" ] || exit 0
packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')

if ! command -v apt-get >/dev/null; then
    echo "setup: missing here (Debian names): $packages" >&2
    exit 69
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null; then as_root=sudo; else
        echo "setup: please install as root:  apt-get install $packages" >&2
        exit 77
    fi
fi

echo "setup: installing $packages" >&2
# RUNLEVEL=1 keeps the packaged nginx from being started as a service.
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $packages >/dev/null
}
$as_root apt-get update -qq || echo "setup: apt-get update failed, trying with the lists that are there" >&2
install
