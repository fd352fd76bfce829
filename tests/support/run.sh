# What the scripts that run tests have in common; sourced at the project's root, $root.
passed=0 failed=0 skipped=0

say() {
	printf '== %s\n' "$*"
}

# Adds what the last line of a file says: "N passed, N failed, N errors, N skipped", in any
# order. Where none has passed, that is a failure too.
count() { # count FILE
	last=$(tail -n 1 "$1")
	for word in passed failed error skipped; do
		n=$(printf '%s\n' "$last" | sed -n "s/.*[^0-9]*\\b\\([0-9][0-9]*\\) $word.*/\\1/p")
		[ "$word" != error ] || word=failed
		eval "$word=\$(($word + \${n:-0}))"
	done
	case $last in *passed*) ;; *) failed=$((failed + 1)) ;; esac
}

# The closing line. False: not all went well.
conclude() {
	[ "$skipped" = 0 ] && echo "$passed passed, $failed failed" ||
		echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# The daemon becomes the user pyenvd, and clients are anybody: all start what was built here.
others_can_read() {
	[ "$(id -u)" != 0 ] || setpriv --reuid=65534 --regid=65534 --clear-groups \
		test -r "$root/tests/support/run.sh"
}

# Where they cannot come (below /root), a copy is tested: $copy, which goes with this shell.
make_copy() {
	copy=$(mktemp -d /var/tmp/pyenvd-tests.XXXXXX)
	trap 'rm -rf "$copy"' EXIT
	say "others cannot read $root: testing a copy of it"
	tar -c --exclude='./build*' . | tar -x -C "$copy"
	chmod -R go+rX "$copy"
}
