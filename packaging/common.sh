# Sourced by install, demo and test: what all of them do to a machine. Bash, Debian.
# shellcheck shell=bash

# What a user of pyctr needs, and nothing else.
PACKAGES=(python3 python3-venv ca-certificates uidmap passt slirp4netns)

say() { printf '\n== %s\n' "$*"; }

die() { printf 'Error: %s\n' "$*" >&2; exit 1; }

# Starts the calling script anew as root, unless it is.
become_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || die "this needs root for Debian packages: run it as root, or install sudo"
    exec sudo -- "$0" "$@"
}

# Installs those of the named Debian packages that are missing.
apt_install() {
    local package missing=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "not a Debian: install these packages first: ${missing[*]}"
    echo "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local log; log=$(mktemp)
    { apt-get -q update && apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
        { cat "$log" >&2; rm -f "$log"; die "apt-get could not install ${missing[*]}"; }
    rm -f "$log"
}

# The device nodes that udev gives to everybody; a machine without udev has them for root alone.
open_devices() {
    [ -e /dev/fuse ] || mknod /dev/fuse c 10 229 2>/dev/null || true
    [ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200 2>/dev/null; } || true
    chmod 666 /dev/fuse /dev/net/tun 2>/dev/null || true
}

# An ordinary user with a home and subordinate ids.
ensure_user() {
    local user=$1 file
    id -u "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
    for file in /etc/subuid /etc/subgid; do
        grep -q "^$user:" "$file" 2>/dev/null || add_subordinate_ids "$user" "$file"
    done
}

# 65536 ids behind the last that somebody has.
add_subordinate_ids() {
    local user=$1 file=$2 start
    touch "$file"
    start=$(awk -F: 'BEGIN { end = 100000 } $2 + $3 > end { end = $2 + $3 } END { print end }' "$file")
    echo "$user:$start:65536" >>"$file"
}

# as_user USER RUNTIME_DIR NAME=VALUE... COMMAND...: with the environment of a fresh login.
as_user() {
    local user=$1 runtime=$2; shift 2
    local home; home=$(getent passwd "$user" | cut -d: -f6)
    setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups env -i \
        HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR="$runtime" "$@"
}

# The runtime folder of a user: logind's, else one that is made here.
runtime_folder() {
    local user=$1 path; path=/run/user/$(id -u "$user")
    [ -d "$path" ] || install -d -m 700 -o "$user" -g "$(id -g "$user")" "$path"
    echo "$path"
}

# A copy of the checkout without what builds leave in it: pip builds inside the tree, which may not be ours.
copy_checkout() {
    local from=$1 to=$2
    mkdir -p "$to"
    tar -C "$from" --exclude=./.git --exclude=__pycache__ --exclude=./build --exclude=./dist --exclude='*.egg-info' \
        --exclude='./.*_cache' --exclude=./.venv -cf - . | tar -C "$to" --no-same-owner -xf -
}
