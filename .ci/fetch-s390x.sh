#!/usr/bin/env bash
# Fetches the s390x programs that the tests of bindings/devices run, all by the names of Debian's packages: QEMU, zgetdump, a
# kernel, the boot loader's stages; and what they are run and preloaded with. Prints the folder, for UV_DEVICES_ROOT.
#
#   UV_DEVICES_ROOT=$(.ci/fetch-s390x.sh)
#
# Kept in $UV_DEVICES_CACHE (default: ~/.cache/uv-devices). Run as root, or with every package installed.
set -euo pipefail
cd "$(dirname "$0")"

root=${UV_DEVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uv-devices}/s390x
missing=()
for package in qemu-user-static gcc-s390x-linux-gnu libc6-dev-s390x-cross; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
fi
if [ ! -d "$root" ]; then
    rm -rf "$root.part"
    ./fetch-foreign-debs.sh trixie s390x "$root.part" qemu-system-s390x s390-tools linux-image-s390x >&2
    # The boot loader's stages are in the package from the next release on.
    ./fetch-foreign-debs.sh forky s390x "$root.part/next" s390-tools >&2
    mkdir -p "$root.part/usr/share/s390-tools"
    mv "$root.part/next/usr/share/s390-tools/pvimg" "$root.part/usr/share/s390-tools/"
    rm -rf "$root.part/next"
    mv "$root.part" "$root"
fi
echo "$root"
