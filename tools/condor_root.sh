#!/bin/sh
# HTCondor's daemons for tests, in a root of their own under .venvs/condor, since Debian's stable release has none.
#
#     tools/condor_root.sh        as root; needs debootstrap. Nothing of it runs outside of that root.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)/.venvs/condor
[ ! -e "$root/ready" ] || exit 0
rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase sid "$root" >/dev/null
unshare -m sh -eu -c '
    root=$1
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    printf "#!/bin/sh\nexit 101\n" >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
    cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    export DEBIAN_FRONTEND=noninteractive
    chroot "$root" apt-get -o Acquire::Check-Valid-Until=false -qq update
    chroot "$root" apt-get -qq install --no-install-recommends condor >/dev/null
' sh "$root"
touch "$root/ready"
