#!/bin/sh
# Whether systemd understands the units, and makes the user and the directories as
# they say. Exits with 77 (skipped) where there is no systemd.
#
#	test-units.sh SOURCE-DIRECTORY BUILD-DIRECTORY PROGRAM
set -eu
source=$1 build=$2 program=$(realpath "$3")
command -v systemd-analyze >/dev/null || exit 77

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$*" >&2; exit 1; }

# systemd-analyze wants a program that is there; ours is in the build directory.
cp "$build/pyenvd.socket" "$scratch"
sed "s|^ExecStart=.*|ExecStart=$program|" "$build/pyenvd.service" >"$scratch/pyenvd.service"
grep -q '^ExecStart=/.*/pyenvd$' "$build/pyenvd.service" || fail "no absolute ExecStart"
said=$(systemd-analyze verify --man=no "$scratch/pyenvd.service" "$scratch/pyenvd.socket" 2>&1) ||
	fail "$said"
# It says what it ignores (a misspelt key) and is content all the same.
[ -z "$said" ] || ! echo "$said" | grep pyenvd || fail "systemd-analyze has remarks"

# The rest is tried in a directory that stands for a new system.
[ "$(id -u)" = 0 ] && command -v systemd-sysusers systemd-tmpfiles >/dev/null || exit 0
mkdir -p "$scratch/new/etc" "$scratch/new/var/lib" "$scratch/new/run"
cp "$source/pyenvd.sysusers" "$scratch/sysusers.conf"
cp "$source/pyenvd.tmpfiles" "$scratch/tmpfiles.conf"
systemd-sysusers --root="$scratch/new" "$scratch/sysusers.conf" 2>"$scratch/said" ||
	fail "$(cat "$scratch/said")"
uid=$(sed -n 's/^pyenvd:x\{0,1\}[^:]*:\([0-9]*\):.*/\1/p' "$scratch/new/etc/passwd")
gid=$(sed -n 's/^pyenvd:[^:]*:\([0-9]*\):.*/\1/p' "$scratch/new/etc/group")
[ -n "$uid" ] && [ -n "$gid" ] || fail "no user or no group pyenvd"
systemd-tmpfiles --root="$scratch/new" --create "$scratch/tmpfiles.conf" ||
	fail "systemd-tmpfiles failed"
expect() { # expect PATH MODE
	is=$(stat -c '%a %u %g' "$scratch/new$1")
	[ "$is" = "$2 $uid $gid" ] || fail "$1 is '$is', not '$2 $uid $gid'"
}
expect /var/lib/pyenvd 711
expect /run/pyenvd 755
