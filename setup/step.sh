#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# step.sh WHAT LOG COMMAND... - run one long step of the set-up.
#
# Says WHAT is being done and for how long. On a terminal the line is updated
# in place; elsewhere a line every half minute tells a job that works from one
# that hangs without flooding a CI log. All output goes to LOG; its end is
# printed when the step fails.
set -u

what=$1 log=$2
shift 2
mkdir -p "$(dirname "$log")" || exit 1

start=$(date +%s)
child= ticker=
elapsed() { echo $(($(date +%s) - start)); }

# The command leads a process group of its own, so that a signal to this
# script ends its compilers too and not just the make that started them.
stop() {
	trap - INT TERM HUP
	if [ -n "$child" ]; then
		kill -TERM -- "-$child" 2>/dev/null
		(sleep 5; kill -KILL -- "-$child") 2>/dev/null &
		wait "$child"
		kill $! 2>/dev/null
	fi
	[ -n "$ticker" ] && kill "$ticker" 2>/dev/null
	[ -t 1 ] && echo
	echo "  $what: interrupted" >&2
	exit 130
}
trap stop INT TERM HUP

if [ -t 1 ]; then
	printf '  %s ...' "$what"
	every=1
else
	printf '  %s ...\n' "$what"
	every=30
fi

setsid "$@" >"$log" 2>&1 </dev/null &
child=$!

# A wait that a signal can end, and that ends with the command: a sleep of its
# own would hold up every short step for the rest of its second.
(
	trap 'kill $! 2>/dev/null; exit 0' TERM
	while :; do
		sleep $every &
		wait $!
		kill -0 $$ || exit
		if [ -t 1 ]; then
			printf '\r  %s ... %d s' "$what" "$(elapsed)"
		else
			printf '  %s ... %d s so far\n' "$what" "$(elapsed)"
		fi
	done
) 2>/dev/null &
ticker=$!

wait "$child"
status=$?
kill "$ticker" 2>/dev/null
wait "$ticker" 2>/dev/null

if [ -t 1 ]; then
	printf '\r'
fi
if [ $status -eq 0 ]; then
	printf '  %s: done in %d s\n' "$what" "$(elapsed)"
	exit 0
fi
printf '  %s: FAILED after %d s (status %d); the end of %s:\n' \
	"$what" "$(elapsed)" "$status" "$log" >&2
tail -n 30 "$log" | sed 's/^/    /' >&2
exit 1
